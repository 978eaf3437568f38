"""What PyTorch3D's documentation says that its rasteriser does, face by face and slowly, for tests where it is not installed.

Where it is, a test compares the two.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

# Faces of less area, or with a corner nearer than this, are not drawn.
EPSILON = 1e-8


@dataclass(frozen=True)
class Meshes:
    """B meshes of as many vertices and faces; x to the left, y up, z away, the shorter side of a picture from -1 to 1."""

    verts: Tensor  # (B, V, 3)
    faces: Tensor  # (B, F, 3)


def rasterize_meshes(
    meshes: Meshes,
    image_size: tuple[int, int],
    blur_radius: float,
    faces_per_pixel: int,
    max_faces_per_bin: int,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    cull_backfaces: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Faces counted through the batch, depth, barycentrics, and signed squared distances; -1 where nothing is seen."""
    assert faces_per_pixel == 1
    height, width = image_size
    shorter = min(height, width)
    x = (width - 2 * torch.arange(width) - 1) / shorter
    y = (height - 2 * torch.arange(height) - 1)[:, None] / shorter
    batch = torch.arange(len(meshes.verts))[:, None, None]
    triangles = meshes.verts[batch, meshes.faces]  # (B, F, 3, 3)
    options = {"perspective": perspective_correct, "clip": clip_barycentric_coords}
    with torch.no_grad():
        all_faces = triangles[:, :, None, None]
        area, _, depth, distance = look(x, y, all_faces, **options)  # (B, F, H, W)
        drawn = (area.abs() > EPSILON) & (all_faces[..., 2].amin(-1) >= EPSILON) & (distance < blur_radius)
        if cull_backfaces:
            drawn &= area > 0
        nearest = torch.where(drawn, depth, torch.inf).argmin(1)  # (B, H, W)
        seen = drawn.any(1)
    # What nothing is seen in has no gradient.
    corners = torch.where(seen[..., None, None], triangles[batch, nearest], torch.eye(3))
    _, weights, depth, distance = look(x, y, corners, **options)
    face = torch.where(seen, nearest + batch * meshes.faces.shape[1], -1)
    found = [torch.where(seen, v, -1.0)[..., None] for v in (depth, *weights.unbind(-1), distance)]
    return face[..., None], found[0], torch.stack(found[1:4], -1), found[4]


def look(
    x: Tensor, y: Tensor, corners: Tensor, *, perspective: bool, clip: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Doubled area, barycentrics, depth, and squared distance, below zero inside, of triangles (..., 3, 3) at points (...)."""
    a, b, c = corners.unbind(-2)

    def doubled_area(p_x: Tensor, p_y: Tensor, q: Tensor, r: Tensor) -> Tensor:
        return (p_x - q[..., 0]) * (r[..., 1] - q[..., 1]) - (p_y - q[..., 1]) * (r[..., 0] - q[..., 0])

    area = doubled_area(c[..., 0], c[..., 1], a, b)
    weights = torch.stack([doubled_area(x, y, q, r) for q, r in ((b, c), (c, a), (a, b))], -1)
    weights = weights / (area + EPSILON)[..., None]
    if perspective:
        weights = weights / corners[..., 2]
        weights = weights / weights.sum(-1, keepdim=True)
    inside = (weights > 0).all(-1)
    if clip:
        weights = weights.clamp(min=0)
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-5)
    distance = torch.stack([to_segment(x, y, q, r) for q, r in ((a, b), (b, c), (c, a))]).amin(0)
    return area, weights, (weights * corners[..., 2]).sum(-1), torch.where(inside, -distance, distance)


def to_segment(x: Tensor, y: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Squared distance of points to a segment."""
    p_x, p_y, d_x, d_y = x - start[..., 0], y - start[..., 1], *(end - start)[..., :2].unbind(-1)
    along = ((p_x * d_x + p_y * d_y) / (d_x**2 + d_y**2).clamp(min=1e-12)).clamp(0, 1)
    return (p_x - along * d_x) ** 2 + (p_y - along * d_y) ** 2


def install(monkeypatch: pytest.MonkeyPatch, called: Callable[[], None] = lambda: None) -> None:
    """Lets `import pytorch3d` find this, which tells `called` whenever it draws."""

    def drawn(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        called()
        return rasterize_meshes(*arguments, **options)

    names = ("pytorch3d", "pytorch3d.renderer", "pytorch3d.renderer.mesh", "pytorch3d.structures")
    modules = {name: ModuleType(name) for name in names}
    modules["pytorch3d.renderer.mesh"].rasterize_meshes = drawn
    modules["pytorch3d.structures"].Meshes = Meshes
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
