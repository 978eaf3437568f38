"""A mesh under lamps in front of a camera: from vertices to pictures in one call."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.rendering.antialiasing import MeshEdges, antialias, mesh_edges
from stages.rendering.backends import Backend, rasteriser_of
from stages.rendering.camera import Camera
from stages.rendering.occlusion import lamp_reaching, light_reaching
from stages.rendering.rasteriser import interpolate
from stages.rendering.shading import STUDIO, Lamp, shade, studio_background, vertex_normals

# Fired clay, for heads that bring no colours.
_CLAY = (0.50, 0.43, 0.38)
# Region -> broad highlight, small highlight, and the least light that reaches it. A mouth or an eye that is shut at
# rest opens later, and its inside must not stay black: what a head paints there is dark enough.
_SKIN = (0.10, 0.00, 0.30)
# How much darker it is where the key lamp does not reach: the others do.
_SHADOW = 0.55
_MATERIALS = {
    "lips": (0.24, 0.10, 0.45),
    "eyes": (0.06, 2.50, 0.50),
    "tongue": (0.25, 0.20, 0.50),
    "teeth": (0.20, 0.40, 0.65),
}


@dataclass(frozen=True)
class Scene:
    """All that stays the same while a mesh moves.

    Attributes:
        faces: (F, 3).
        edges: of the faces.
        surface: (V, 5) linear RGB, strength of broad highlights, and of small ones.
        camera: whose `aspect` is width / height.
        background: (height, width, 3) linear RGB; says how large pictures are.
        lamps: what shines.
        backend: who decides which face a pixel sees.
    """

    faces: Tensor
    edges: MeshEdges
    surface: Tensor
    camera: Camera
    background: Tensor
    lamps: tuple[Lamp, ...] = STUDIO
    backend: Backend = "torch"

    def render(
        self, vertices: Tensor, *, colours: Tensor | None = None, transparent: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Pictures of a batch of poses, differentiable in the vertices through shading, place and silhouettes.

        Args:
            vertices: (B, V, 3), head units.
            colours: (B, V, 3) linear RGB, to be seen dull instead of the mesh's own look.
            transparent: leave out the background, and say in a fourth channel how much of each pixel the mesh covers.

        Returns:
            (B, height, width, 3 or 4) linear RGB, times the cover where transparent, and the share (B,) of each picture
            that the mesh covers.
        """
        height, width, _ = self.background.shape
        points = self.camera.project(vertices)
        fragments = rasteriser_of(self.backend)(
            points,
            self.faces,
            height,
            width,
            perspective=self.camera.perspective,
            near=self.camera.distance / 100,  # heads come in any unit
        )
        # One gather for all that is known of a vertex.
        normals = vertex_normals(vertices, self.faces)
        # What is coloured does not shine.
        looks = self.surface.expand(len(vertices), -1, -1) if colours is None else F.pad(colours, (0, 2))
        attributes = torch.cat([normals, looks], 2)
        normals, surface = interpolate(attributes, self.faces, fragments).split([3, 5], 1)
        light = shade(normals, surface, self.camera.axes()[2].to(vertices), self.lamps)
        if transparent:
            light = F.pad(light, (0, 1), value=1.0)
            picture = fragments.picture(light, torch.zeros_like(light[:1, :1]))
        else:
            picture = fragments.picture(light, self.background)
        return antialias(picture, fragments, points, self.faces, self.edges), fragments.coverage()


def head_scene(
    head: HeadRecord,
    camera: Camera,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
    backend: Backend = "torch",
) -> Scene:
    """The studio scene of a head, with the head's own colours where it has them."""
    template = torch.from_numpy(head.template).to(device)
    faces = torch.from_numpy(head.faces).to(device, torch.int64)
    if "colours" in head.arrays:
        colours = torch.from_numpy(head.arrays["colours"]).float().to(device)
    else:
        colours = torch.tensor(_CLAY, device=device).expand(len(template), 3)
    material = torch.tensor(_SKIN, device=device).repeat(len(template), 1)
    for region, values in _MATERIALS.items():
        if region in head.regions:
            material[torch.from_numpy(head.regions[region]).long().to(device)] = torch.tensor(values, device=device)
    # The key lamp's shadow, of the chin on the neck above all, is that of the head at rest too.
    shadow = 1 - _SHADOW * (1 - lamp_reaching(template, faces, STUDIO[0].direction))
    light = torch.maximum(light_reaching(template, faces) * shadow, material[:, 2])[:, None]
    surface = torch.cat([colours * light, material[:, :2] * light], 1)
    background = studio_background(height, width).to(device)
    return Scene(faces, mesh_edges(faces), surface, camera, background, backend=backend)
