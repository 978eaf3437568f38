"""How much of the light around it reaches each vertex: nostrils, ears and the throat are dim because the head is there.

Found once for a head at rest and mixed into its colours, so that it costs a film nothing.
"""

import math

import torch
from torch import Tensor

from stages.rendering.camera import Camera
from stages.rendering.rasteriser import nearness_map, pixel_coordinates
from stages.rendering.shading import vertex_normals

_NUM_DIRECTIONS = 96
_PIXELS = 192
# A lamp is a ball of points around its direction: how far from it, as a share of its distance, and how many.
_LAMP_RADIUS, _LAMP_POINTS = 0.28, 16
# A surface does not shade itself: what is in front by less than this share of the head's size is the same place.
_TOLERANCE = 0.012


def light_reaching(vertices: Tensor, faces: Tensor) -> Tensor:
    """Share of the light from all around, brightest from above and before, that the mesh does not keep from itself.

    Args:
        vertices: (V, 3), facing +Z.
        faces: (F, 3).

    Returns:
        (V,) from 0, shut in, to 1, open.
    """
    lights = [(d, 0.1 + max(0.0, 0.7 * d[1] + 0.7 * d[2]) ** 2) for d in _directions(_NUM_DIRECTIONS)]
    return _share_that_arrives(vertices, faces, lights)


def lamp_reaching(vertices: Tensor, faces: Tensor, direction: tuple[float, float, float]) -> Tensor:
    """Share of a lamp's light that the mesh does not keep from itself: soft shadows, as of a lamp half a radian wide.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        direction: towards the lamp; any length.

    Returns:
        (V,) from 0, in the shadow, to 1; what faces away from the lamp is as light as what it lights.
    """
    length = math.sqrt(sum(d * d for d in direction))
    towards = [
        tuple(d / length + _LAMP_RADIUS * o for d, o in zip(direction, off, strict=True))
        for off in _directions(_LAMP_POINTS)
    ]
    return _share_that_arrives(vertices, faces, [((x, y, z), 1.0) for x, y, z in towards], shadow_of_own_back=False)


def _share_that_arrives(
    vertices: Tensor,
    faces: Tensor,
    lights: list[tuple[tuple[float, float, float], float]],
    *,
    shadow_of_own_back: bool = True,
) -> Tensor:
    """(V,) of lights in directions, each with a strength; those behind a surface count for nothing, or as arrived."""
    with torch.no_grad():
        low, high = vertices.amin(0), vertices.amax(0)
        centre, radius = (low + high) / 2, float((high - low).norm()) / 2
        normals = vertex_normals(vertices[None], faces)[0]
        received = vertices.new_zeros(len(vertices))
        possible = torch.full_like(received, 1e-6)
        for direction, strength in lights:
            cosine = (normals @ normals.new_tensor(direction)).clamp(min=0) * strength
            eye = tuple(c + 2 * radius * d for c, d in zip(centre.tolist(), direction, strict=True))
            lamp = Camera((eye[0], eye[1], eye[2]), tuple(centre.tolist()), half_height=radius)
            points = lamp.project(vertices)[None]
            nearest = nearness_map(points, faces, _PIXELS, _PIXELS, perspective=False)[0]
            x, y = (c[0].long().clamp(0, _PIXELS - 1) for c in pixel_coordinates(points, _PIXELS, _PIXELS))
            seen = -points[0, :, 2] > nearest[y, x] - _TOLERANCE * 2 * radius
            received += cosine * seen
            possible += cosine
        return _smooth(
            (received / possible) if shadow_of_own_back else torch.where(possible > 1e-3, received / possible, 1.0),
            faces,
        )


def _directions(count: int) -> list[tuple[float, float, float]]:
    """Evenly spread over the sphere (a Fibonacci spiral), none straight up or down."""
    golden = math.pi * (3 - math.sqrt(5))
    heights = [1 - 2 * (k + 0.5) / count for k in range(count)]
    rings = [math.sqrt(1 - y * y) for y in heights]
    return [
        (r * math.cos(golden * k), y, r * math.sin(golden * k))
        for k, (y, r) in enumerate(zip(heights, rings, strict=True))
    ]


def _smooth(values: Tensor, faces: Tensor, rounds: int = 2) -> Tensor:
    """Means over neighbours, against the grain of pixels and of the few directions."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends, others = torch.cat([edges, edges.flip(1)]).unbind(1)
    count = torch.zeros_like(values).index_add(0, ends, torch.ones_like(values[ends]))
    for _ in range(rounds):
        around = torch.zeros_like(values).index_add(0, ends, values[others])
        values = torch.where(count > 0, (values + around / count.clamp(min=1)) / 2, values)
    return values
