"""Light on a face: smooth normals, three lamps and a soft gloss, in linear RGB.

All functions are differentiable and work on flat lists of P covered pixels, so that no light is computed where there is
no mesh. Directions and normals are in world coordinates.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

# Linear light up to the knee is shown as it is; brighter light bends towards white and never clips hard.
_KNEE = 0.75
_LUT_SIZE = 1 << 14
_LUT_WHITE = 4.0


@dataclass(frozen=True)
class Lamp:
    """A lamp so far away that its light is parallel.

    Attributes:
        direction: towards the lamp; any length.
        colour: linear RGB, with the strength in it.
        wrap: 0 is a point of light; 1 is as soft as half-Lambert, with light that reaches a quarter turn further.
        gloss: strength of its highlights.
    """

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    wrap: float = 0.5
    gloss: float = 0.0


# A warm key from above the viewer's left, a cool fill from the right, two rims from behind that lift the outline off
# the background, and a sky that is brighter above.
STUDIO = (
    Lamp((-0.55, 0.62, 0.75), (1.00, 0.94, 0.87), wrap=0.22, gloss=1.0),
    Lamp((0.90, 0.05, 0.60), (0.17, 0.19, 0.22), wrap=0.60, gloss=0.30),
    Lamp((0.85, 0.30, -0.60), (0.65, 0.70, 0.80), wrap=0.10),
    Lamp((-0.90, 0.35, -0.65), (0.35, 0.36, 0.40), wrap=0.10),
    Lamp((0.00, 1.00, 0.20), (0.15, 0.16, 0.18), wrap=1.00),
)
# Skin lets red light through: it reaches further round than green and blue.
_RED_BLEED = 0.10
# Exponents of a broad highlight, as on skin, and of a small bright one, as on a wet eye, on top of the first.
_SHEEN, _GLINT_OF_SHEEN = 16, 25


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals of vertices: the mean of the normals of their faces, weighted by area.

    Args:
        vertices: (B, V, 3).
        faces: (F, 3) vertex indices.

    Returns:
        (B, V, 3); zero where a vertex has no face or only degenerate ones.
    """
    batch, num_vertices, _ = vertices.shape
    faces = faces.to(torch.int64)
    # One row a vertex with the whole batch in it: a single index serves all frames.
    rows = vertices.transpose(0, 1).reshape(num_vertices, batch * 3)
    a, b, c = (rows.index_select(0, corner).reshape(-1, batch, 3) for corner in faces.unbind(1))
    of_faces = torch.linalg.cross(b - a, c - a).reshape(-1, batch * 3)
    sums = torch.zeros_like(rows).index_add(0, faces.flatten(), of_faces.repeat_interleave(3, 0))
    normals = sums.reshape(num_vertices, batch, 3).transpose(0, 1)
    return torch.nn.functional.normalize(normals, dim=-1, eps=1e-20)


def shade(normals: Tensor, surface: Tensor, viewer: Tensor, lamps: tuple[Lamp, ...] = STUDIO) -> Tensor:
    """Light that leaves a surface towards the viewer.

    Args:
        normals: (P, 3), of any length.
        surface: (P, 5) linear RGB, then how strong its broad highlights are, and its small ones.
        viewer: (3,) unit vector towards the viewer.
        lamps: what shines.

    Returns:
        (P, 3) linear RGB.
    """
    x, y, z = normals.unbind(1)
    scale = (x * x + y * y + z * z).clamp(min=1e-12).rsqrt()
    x, y, z = x * scale, y * scale, z * scale
    red, green, blue, sheen, glint = surface.unbind(1)
    light = [torch.zeros_like(x) for _ in range(3)]
    shine = [torch.zeros_like(x) for _ in range(3)]
    for lamp in lamps:
        towards = normals.new_tensor(lamp.direction)
        towards = towards / towards.norm()
        cosine = _along(x, y, z, towards)
        far, near = _wrapped(cosine, lamp.wrap + _RED_BLEED), _wrapped(cosine, lamp.wrap)
        light = [torch.add(light[c], far if c == 0 else near, alpha=lamp.colour[c]) for c in range(3)]
        if lamp.gloss > 0:
            halfway = towards + viewer
            broad = _along(x, y, z, halfway / halfway.norm()).clamp(min=0) ** _SHEEN
            highlight = (broad * sheen + broad**_GLINT_OF_SHEEN * glint) * lamp.gloss
            shine = [torch.add(shine[c], highlight, alpha=lamp.colour[c]) for c in range(3)]
    return torch.stack([c * d + s for c, d, s in zip((red, green, blue), light, shine, strict=True)], 1)


def _wrapped(cosine: Tensor, wrap: float) -> Tensor:
    """Lambert's cosine, reaching further round by `wrap` and squared, so that light fades out without a crease."""
    facing = ((cosine + wrap) / (1 + wrap)).clamp(min=0)
    return facing * facing


def _along(x: Tensor, y: Tensor, z: Tensor, direction: Tensor) -> Tensor:
    d_x, d_y, d_z = direction.tolist()
    return torch.add(x * d_x + y * d_y, z, alpha=d_z)


def display(linear: Tensor) -> Tensor:
    """Linear light to sRGB in 0..1, with a soft shoulder above the knee; differentiable."""
    light = linear.clamp(min=0)
    room = 1 - _KNEE
    light = torch.where(light < _KNEE, light, 1 - room * torch.exp((_KNEE - light) / room))
    return torch.where(light < 0.0031308, 12.92 * light, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def display_bytes(linear: Tensor) -> Tensor:
    """Linear light to sRGB bytes, uint8, within one level of `display`."""
    # Steps of the square root are nearly steps of sRGB, so a table of it is short and exact enough.
    steps = (linear.clamp(0, _LUT_WHITE).sqrt() * ((_LUT_SIZE - 1) / math.sqrt(_LUT_WHITE))).to(torch.int32)
    return _table(linear.device).index_select(0, steps.flatten()).reshape(linear.shape)


@cache
def _table(device: torch.device) -> Tensor:
    root = torch.linspace(0, math.sqrt(_LUT_WHITE), _LUT_SIZE)
    return (display(root**2) * 255).round().to(torch.uint8).to(device)


def studio_background(height: int, width: int) -> Tensor:
    """(height, width, 3) linear RGB: a soft grey wall, lit in the middle and darker towards the corners."""
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)[None]
    fall = torch.exp(-0.55 * (x**2 + (y + 0.15) ** 2))
    dark, bright = torch.tensor([0.060, 0.070, 0.090]), torch.tensor([0.27, 0.29, 0.32])
    return dark + fall[..., None] * (bright - dark)
