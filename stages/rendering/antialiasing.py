"""Analytic antialiasing of silhouettes, which is also where gradients cross them.

The rasteriser samples pixel centres, so moving an outline by a hair changes nothing and its gradient there is zero.
Here every silhouette edge of the mesh is walked: it crosses the segment between two neighbouring pixel centres at some
share of the way, and the pixel on whose side of the middle the crossing falls takes on part of the other's colour. An
upright edge that moves by one pixel thus moves exactly one pixel's worth of colour, and the share is differentiable in
the ends of the edge. A parting of the lips is such a silhouette, an upper-lip edge in front of the mouth's inside.

The idea of blending pairs of pixels across silhouettes is that of Laine et al., "Modular Primitives for
High-Performance Differentiable Rendering" (2020), section 3.4. Theirs looks for silhouettes among the edges of the
face that a pixel sees; here all edges of the mesh are classified first, which also finds those that belong to a face
too thin to be seen by any pixel centre, as faces near an outline are.

What no pixel centre sees is not blended either: a strip of teeth above a lip, thinner than a pixel, comes and goes at once.
Nor is there a silhouette where surfaces pass through each other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.rendering.rasteriser import Fragments, doubled_areas, expand, pixel_coordinates


@dataclass(frozen=True)
class MeshEdges:
    """The E edges of a mesh, each with the faces on both of its sides.

    Attributes:
        vertices: (E, 2) in the order in which the first face walks them.
        faces: (E, 2) the second is -1 where the mesh ends.
        part_of_face: (F,) which of the mesh's connected parts a face belongs to: the skin, an eye, a row of teeth.
        num_parts: how many there are.
    """

    vertices: Tensor
    faces: Tensor
    part_of_face: Tensor
    num_parts: int


def mesh_edges(faces: Tensor) -> MeshEdges:
    """Finds the edges of a mesh and the faces beside them; do it once for a mesh.

    Where more than two faces meet in an edge, the first two count.

    Args:
        faces: (F, 3) vertex indices.
    """
    faces = faces.to(torch.int64)
    walked = torch.stack([faces, faces.roll(-1, 1)], 2).reshape(-1, 2)  # (3F, 2)
    owner = torch.arange(len(faces), device=faces.device).repeat_interleave(3)
    code = walked.amin(1) * (int(faces.max()) + 1) + walked.amax(1)
    code, order = torch.sort(code, stable=True)
    is_first = torch.ones_like(code, dtype=torch.bool)
    is_first[1:] = code[1:] != code[:-1]
    first = is_first.nonzero().squeeze(1)
    following = (first + 1).clamp(max=len(code) - 1)
    has_second = (following > first) & (code[following] == code[first])
    second = torch.where(has_second, owner[order[following]], -1)
    vertices = walked[order[first]]
    used, part = _parts(vertices, int(faces.max()) + 1)[faces[:, 0]].unique(return_inverse=True)
    return MeshEdges(vertices, torch.stack([owner[order[first]], second], 1), part, len(used))


def _parts(edges: Tensor, num_vertices: int) -> Tensor:
    """(V,) the same number for vertices that edges (E, 2) join, by whatever way."""
    label = torch.arange(num_vertices, device=edges.device)
    while True:
        least = label[edges].amin(1)
        lower = label.scatter_reduce(0, edges.flatten(), least.repeat_interleave(2), "amin")
        # Leaping to the label's own label halves the way that is left.
        lower = lower[lower]
        if torch.equal(lower, label):
            return label
        label = lower


def antialias(picture: Tensor, fragments: Fragments, points: Tensor, faces: Tensor, edges: MeshEdges) -> Tensor:
    """Blends the pixels on both sides of every visible silhouette edge by how much of each the mesh covers.

    Made for meshes whose backs are culled: an edge is a silhouette where one of its faces shows its front and the
    other its back or is missing. It is visible where it is in front of what is seen on its outer side, and where what is
    seen on its inner side is the connected part of the mesh that it belongs to: an edge of the tongue is hidden where a
    lip is seen there, though the pixel beyond shows the depth of the mouth.

    Args:
        picture: (B, height, width, C), linear light.
        fragments: what `rasterise` returned.
        points: (B, V, 3) screen points, as given to `rasterise`.
        faces: (F, 3), as given to `rasterise`.
        edges: `mesh_edges(faces)`.

    Returns:
        (B, height, width, C), differentiable in `picture` and `points`.
    """
    _, height, width, channels = picture.shape
    x, y = pixel_coordinates(points, height, width)
    with torch.no_grad():
        edge, inside, outside, upright = _crossings(torch.stack([x, y, points[..., 2]]), fragments, faces, edges)
    ends = edges.vertices.index_select(0, edge % len(edges.vertices))
    ends = ends + (edge // len(edges.vertices) * points.shape[1])[:, None]
    x, y = (v.reshape(-1).index_select(0, ends.flatten()).reshape(-1, 2) for v in (x, y))

    # Along: the axis on which the two pixels differ. Across: the one on which they agree, where the edge is met.
    in_frame = inside % (height * width)
    centre_x, centre_y = in_frame % width + 0.5, in_frame // width + 0.5
    along = torch.where(upright[:, None], x, y)
    across = torch.where(upright[:, None], y, x)
    met = (torch.where(upright, centre_y, centre_x) - across[:, 0]) / (across[:, 1] - across[:, 0])
    crossing = along[:, 0] + met * (along[:, 1] - along[:, 0])
    direction = torch.sign((outside - inside).to(crossing.dtype))
    share = ((crossing - torch.where(upright, centre_x, centre_y)) * direction).clamp(0, 1)

    flat = picture.reshape(-1, channels)
    difference = flat.index_select(0, inside) - flat.index_select(0, outside)
    outward = share > 0.5
    target = torch.where(outward, outside, inside)
    blend = (share - 0.5).to(picture.dtype)[:, None] * difference
    return flat.index_add(0, target, blend).reshape(picture.shape)


def _crossings(
    points: Tensor, fragments: Fragments, faces: Tensor, edges: MeshEdges
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The X places where a visible silhouette edge passes between two neighbouring pixel centres.

    Args:
        points: (3, B, V) x and y in pixels, and depth.
        fragments, faces, edges: as given to `antialias`.

    Returns:
        edge (X,): index into (B, E). inside, outside (X,): flat indices of the pixel on the mesh's side of the edge and
        of the one beyond. upright (X,): whether the two are side by side, rather than one above the other.
    """
    batch, height, width = fragments.shape
    x, y, z = points
    num_edges = len(edges.vertices)
    front = doubled_areas(x, y, faces.to(torch.int64)) > 0  # (B, F)
    first_front = front.index_select(1, edges.faces[:, 0])
    second_front = front.index_select(1, edges.faces[:, 1].clamp(min=0)) & (edges.faces[:, 1] >= 0)
    edge = (first_front != second_front).flatten().nonzero().squeeze(1)
    nearness = z.reciprocal() if fragments.perspective else -z
    frame = edge // num_edges
    in_mesh = edge - frame * num_edges
    ends = edges.vertices.index_select(0, in_mesh) + (frame * x.shape[1])[:, None]
    # In the order in which the visible face walks them: its inside is then always on the same hand.
    ends = torch.where(first_front.flatten().index_select(0, edge)[:, None], ends, ends.flip(1))
    x, y, nearness = (v.reshape(-1).index_select(0, ends.flatten()).reshape(-1, 2) for v in (x, y, nearness))

    # Steep edges are met once a row, flat ones once a column.
    upright = (x[:, 1] - x[:, 0]).abs() <= (y[:, 1] - y[:, 0]).abs()
    across = torch.where(upright[:, None], y, x)
    along = torch.where(upright[:, None], x, y)
    limit = torch.where(upright, height, width)
    low, high = across.amin(1), across.amax(1)
    first = torch.minimum(torch.ceil(low - 0.5).clamp(min=0), limit)
    count = (torch.minimum(torch.ceil(high - 0.5).clamp(min=0), limit) - first).clamp(min=0)
    count = torch.where(torch.isfinite(count) & torch.isfinite(nearness).all(1), count, 0).to(torch.int64)
    owner, step = expand(count)

    per_edge = torch.stack([first, *across.unbind(1), *along.unbind(1), *nearness.unbind(1), upright.float()], 0)
    first, across_0, across_1, along_0, along_1, near_0, near_1, steep = per_edge.index_select(1, owner)
    line = first + step
    met = (line + 0.5 - across_0) / (across_1 - across_0)
    crossing = along_0 + met * (along_1 - along_0)
    near = near_0 + met * (near_1 - near_0)
    before = torch.floor(crossing - 0.5)
    is_upright = steep > 0.5
    on_picture = (before >= 0) & (before + 1 < torch.where(is_upright, width, height))
    before = before.clamp(0, max(width, height)).to(torch.int64)
    line = line.to(torch.int64)
    start = frame.index_select(0, owner) * (height * width)
    pixel = start + torch.where(is_upright, line * width + before, before * width + line)
    stride = torch.where(is_upright, 1, width)
    # Walking counter-clockwise, the inside is on the left hand: before (left of) an edge that runs up the picture,
    # and before (above) one that runs to the right.
    inside_is_before = torch.where(is_upright, across_1 < across_0, across_1 > across_0)
    inside = torch.where(inside_is_before, pixel, pixel + stride)
    outside = torch.where(inside_is_before, pixel + stride, pixel)

    # Out of the picture, the second pixel may not exist; any index does until the mask below drops it.
    last = batch * height * width - 1
    beyond = fragments.nearness.flatten().index_select(0, outside.clamp(max=last))
    visible = (on_picture & (near > beyond)).nonzero().squeeze(1)
    if edges.num_parts > 1:
        part_seen = torch.full((last + 1,), -1, device=edge.device)
        part_seen[fragments.pixel] = edges.part_of_face.index_select(0, fragments.pair_face).index_select(
            0, fragments.pair
        )
        own = edges.part_of_face.index_select(0, edges.faces[:, 0]).index_select(0, in_mesh)
        own = own.index_select(0, owner.index_select(0, visible))
        visible = visible[part_seen.index_select(0, inside.index_select(0, visible)) == own]
    keep = [v.index_select(0, visible) for v in (edge.index_select(0, owner), inside, outside, is_upright)]
    return keep[0], keep[1], keep[2], keep[3]
