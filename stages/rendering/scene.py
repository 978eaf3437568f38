"""A mesh under lamps in front of a camera: from vertices to pictures in one call."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.rendering.antialiasing import MeshEdges, antialias, mesh_edges
from stages.rendering.camera import Camera
from stages.rendering.rasteriser import interpolate, rasterise
from stages.rendering.shading import STUDIO, Lamp, shade, studio_background, vertex_normals

# Fired clay, for heads that bring no colours.
_CLAY = (0.50, 0.43, 0.38)
_SKIN_GLOSS = 0.12


@dataclass(frozen=True)
class Scene:
    """All that stays the same while a mesh moves.

    Attributes:
        faces: (F, 3).
        edges: of the faces.
        colours: (V, 3) linear RGB.
        gloss: (V, 1) strength of highlights.
        camera: whose `aspect` is width / height.
        background: (height, width, 3) linear RGB; says how large pictures are.
        lamps: what shines.
    """

    faces: Tensor
    edges: MeshEdges
    colours: Tensor
    gloss: Tensor
    camera: Camera
    background: Tensor
    lamps: tuple[Lamp, ...] = STUDIO

    def render(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures of a batch of poses, differentiable in the vertices through shading, place and silhouettes.

        Args:
            vertices: (B, V, 3), head units.

        Returns:
            (B, height, width, 3) linear RGB, and the share (B,) of each picture that the mesh covers.
        """
        height, width, _ = self.background.shape
        points = self.camera.project(vertices)
        fragments = rasterise(
            points,
            self.faces,
            height,
            width,
            perspective=self.camera.perspective,
            near=self.camera.distance / 100,  # heads come in any unit
        )
        normals = interpolate(vertex_normals(vertices, self.faces), self.faces, fragments)
        surface = interpolate(torch.cat([self.colours, self.gloss], 1), self.faces, fragments)
        viewer = self.camera.axes()[2].to(vertices)
        light = shade(normals, surface[:, :3], surface[:, 3], viewer, self.lamps)
        picture = fragments.picture(light, self.background)
        return antialias(picture, fragments, points, self.faces, self.edges), fragments.coverage()


def head_scene(head: HeadRecord, camera: Camera, height: int, width: int, device: torch.device | str = "cpu") -> Scene:
    """The studio scene of a head, with the head's own colours where it has them."""
    num_vertices = len(head.template)
    faces = torch.from_numpy(head.faces).to(device, torch.int64)
    if "colours" in head.arrays:
        colours = torch.from_numpy(head.arrays["colours"]).float().to(device)
    else:
        colours = torch.tensor(_CLAY, device=device).expand(num_vertices, 3)
    gloss = torch.full((num_vertices, 1), _SKIN_GLOSS, device=device)
    return Scene(faces, mesh_edges(faces), colours, gloss, camera, studio_background(height, width).to(device))
