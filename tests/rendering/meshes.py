"""Closed meshes whose pictures are known."""

import numpy as np
import torch
import trimesh
from torch import Tensor


def sphere(subdivisions: int = 3) -> tuple[Tensor, Tensor]:
    """Vertices (V, 3) f32 and faces (F, 3) of a unit sphere."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return torch.tensor(np.asarray(mesh.vertices), dtype=torch.float32), torch.tensor(np.asarray(mesh.faces))


def seen_from_front(vertices: Tensor, distance: float = 3.0) -> Tensor:
    """Screen points of an orthographic camera on +Z that sees x and y from -1 to 1."""
    return torch.stack([vertices[..., 0], vertices[..., 1], distance - vertices[..., 2]], -1)
