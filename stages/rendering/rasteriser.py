"""A differentiable rasteriser for batches of one mesh in motion, in plain torch: no GL, no display, CPU or GPU.

Two steps. *Visibility* decides without gradient which face each pixel centre sees. It walks from faces to the rows they
cross, and from rows to the pixels they span, so that only covered pixels are ever listed; a z-buffer of packed
(nearness, face) integers keeps the nearest. *Interpolation* then recomputes the barycentrics of the seen faces from
the vertices, with gradient. Covered pixels are kept as a flat list (`Fragments`), so that shading costs nothing where
there is no mesh. Gradients across silhouettes, to which this file is blind, come from `antialiasing.py`.

Screen points are what a camera hands over: x to the right and y up, both in [-1, 1] over the picture, and z the depth
in front of the camera, growing away from it. A face is in front when its corners run counter-clockwise in the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Pixels listed at once. Large enough to drown the overhead of a torch call, small enough to stay in a CPU's cache.
PIXELS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 25}

# A packed key holds nearness in its high 32 bits and, upside down, the face in its low ones.
LOW_BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class Fragments:
    """The covered pixels of a batch of pictures, as a flat list of P, and the Q pairs (frame, face) that they see.

    Attributes:
        shape: (B, height, width) of the pictures.
        pixel: (P,) index of each covered pixel in the flattened (B, height, width), ascending.
        pair: (P,) the pair that each pixel sees.
        pair_frame: (Q,) frame of each pair.
        pair_face: (Q,) face of each pair.
        barycentrics: (P, 3) weights of the face's corners, perspective-correct, differentiable in the points.
        depth: (P,) depth, differentiable in the points.
        nearness: (B, height, width), grows towards the camera (1 / depth, or -depth when orthographic), -inf where
            nothing is seen; without gradient.
        perspective: whether depth divides the picture.
    """

    shape: tuple[int, int, int]
    pixel: Tensor
    pair: Tensor
    pair_frame: Tensor
    pair_face: Tensor
    barycentrics: Tensor
    depth: Tensor
    nearness: Tensor
    perspective: bool

    @property
    def frame(self) -> Tensor:
        """(P,) frame of each covered pixel."""
        return self.pair_frame[self.pair]

    @property
    def face(self) -> Tensor:
        """(P,) face that each covered pixel sees."""
        return self.pair_face[self.pair]

    @property
    def face_index(self) -> Tensor:
        """(B, height, width) the face that each pixel sees, -1 where there is none."""
        return self.picture(self.face, torch.full((), -1, device=self.pixel.device))

    def coverage(self) -> Tensor:
        """(B,) share of each picture that the mesh covers."""
        return torch.isfinite(self.nearness).flatten(1).float().mean(1)

    def picture(self, values: Tensor, background: Tensor) -> Tensor:
        """Lays values of covered pixels over a background.

        Args:
            values: (P, ...) one value per covered pixel.
            background: anything that broadcasts to (B, height, width, ...).

        Returns:
            (B, height, width, ...), differentiable in `values`.
        """
        batch, height, width = self.shape
        inner = values.shape[1:]
        canvas = background.to(values).expand(batch, height, width, *inner).reshape(-1, *inner)
        return canvas.index_copy(0, self.pixel, values).reshape(batch, height, width, *inner)


def pixel_coordinates(points: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Screen points in pixels: x to the right, y downward, the centre of the first pixel at (0.5, 0.5)."""
    return (points[..., 0] + 1) * (width / 2), (1 - points[..., 1]) * (height / 2)


def doubled_areas(x: Tensor, y: Tensor, faces: Tensor) -> Tensor:
    """Twice the area of each face in pixels, positive where its front is seen.

    Args:
        x, y: (B, V) pixel coordinates.
        faces: (F, 3) vertex indices.

    Returns:
        (B, F).
    """
    a, b, c = faces.unbind(1)
    x_a, y_a = x[:, a], y[:, a]
    return (x[:, c] - x_a) * (y[:, b] - y_a) - (x[:, b] - x_a) * (y[:, c] - y_a)


def rasterise(
    points: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    perspective: bool = True,
    cull_back: bool = True,
    near: float = 1e-3,
) -> Fragments:
    """Finds the face that each pixel sees and where on it, differentiably in the points.

    Coverage is watertight: a pixel centre on an edge that two faces share belongs to exactly one of them. Faces that
    are degenerate, that have a corner nearer than `near`, or a corner that is not finite, are left out; faces are not
    clipped. A result does not depend on the other frames of the batch.

    Args:
        points: (B, V, 3) screen points.
        faces: (F, 3) vertex indices, counter-clockwise seen from the front.
        height: pixels.
        width: pixels.
        perspective: interpolate perspective-correctly; without it depth is linear in the picture (orthographic).
        cull_back: leave out faces seen from behind.
        near: smallest depth that is drawn (perspective only).
    """
    faces = faces.to(torch.int64)
    shape = (points.shape[0], height, width)
    with torch.no_grad():
        table = _face_table(points, faces, shape, perspective=perspective, cull_back=cull_back, near=near)
        keys = _nearest_keys(table, shape)
        nearness = _number(keys >> 32).reshape(shape)
        frame, row, column = torch.isfinite(nearness).nonzero(as_tuple=True)
        pixel = (frame * height + row).mul_(width).add_(column)
        # The distinct pairs (frame, face) that are seen, and which of them each pixel sees.
        frame_face = frame.mul_(len(faces)).add_(LOW_BITS - (keys.index_select(0, pixel) & LOW_BITS))
        used = torch.zeros(shape[0] * len(faces), dtype=torch.bool, device=points.device)
        pairs = used.index_fill_(0, frame_face, True).nonzero().squeeze(1)
        pair_of = torch.empty(used.shape, dtype=torch.int64, device=points.device)
        pair_of[pairs] = torch.arange(len(pairs), device=points.device)
        pair = pair_of.index_select(0, frame_face)
        pair_frame = pairs // len(faces)
        pair_face = pairs - pair_frame * len(faces)
    x, y = pixel_coordinates(points, height, width)
    corners = (faces[pair_face] + (pair_frame * points.shape[1])[:, None]).flatten()
    barycentrics, depth = _locate(
        torch.stack([v.reshape(-1).index_select(0, corners) for v in (x, y, points[..., 2])], 0).reshape(3, -1, 3),
        pair,
        column.to(x.dtype) + 0.5,
        row.to(x.dtype) + 0.5,
        perspective=perspective,
    )
    return Fragments(shape, pixel, pair, pair_frame, pair_face, barycentrics, depth, nearness, perspective)


def nearness_map(points: Tensor, faces: Tensor, height: int, width: int, *, perspective: bool = True) -> Tensor:
    """How near the nearest face is at each pixel centre, as in `Fragments.nearness`, and nothing else.

    Args:
        points, faces, height, width, perspective: as for `rasterise`.

    Returns:
        (B, height, width), without gradient.
    """
    shape = (points.shape[0], height, width)
    with torch.no_grad():
        table = _face_table(points, faces.to(torch.int64), shape, perspective=perspective, cull_back=True, near=1e-3)
        return _number(_nearest_keys(table, shape) >> 32).reshape(shape)


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments) -> Tensor:
    """Vertex attributes at the covered pixels.

    Args:
        attributes: (B, V, C), or (V, C) where all frames share them.
        faces: (F, 3), as given to `rasterise`.
        fragments: what `rasterise` returned.

    Returns:
        (P, C), differentiable in the attributes and, through the barycentrics, in the points.
    """
    corners = faces.to(torch.int64)[fragments.pair_face]  # (Q, 3)
    if attributes.dim() == 3:
        corners = corners + (fragments.pair_frame * attributes.shape[1])[:, None]
    channels = attributes.shape[-1]
    table = attributes.reshape(-1, channels).index_select(0, corners.flatten()).reshape(-1, 3 * channels)
    of_corners = table.index_select(0, fragments.pair).reshape(-1, 3, channels)
    return torch.einsum("pk,pkc->pc", fragments.barycentrics.to(attributes.dtype), of_corners)


def _ordered(number: Tensor) -> Tensor:
    """float32 numbers as int32 of the same order: patterns of negative ones, which run backwards, are turned round."""
    bits = number.view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _number(ordered: Tensor) -> Tensor:
    """The inverse of `_ordered`."""
    bits = ordered.to(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)


@dataclass(frozen=True)
class _FaceTable:
    """The K faces of a batch that may be seen, as they lie in the picture; arrays have the faces in their last axis.

    Attributes:
        num_rows: (K,) rows of pixel centres that each crosses.
        frame_start: (K,) index of the first pixel of its frame.
        key: (K,) low bits of its key.
        edges: (6, K) first row, height of the middle corner, whether that corner lies to the left of the long edge, and
            the long edge: x and y of its upper end, and x gained a row.
        short_edges: (3, K, 2) the upper and the lower short edge: x and y of the upper end, and x gained a row.
        plane: (7, K) a corner's x, y and nearness, nearness gained a column and a row, its least and its greatest.
    """

    num_rows: Tensor
    frame_start: Tensor
    key: Tensor
    edges: Tensor
    short_edges: Tensor
    plane: Tensor


def _face_table(
    points: Tensor, faces: Tensor, shape: tuple[int, int, int], *, perspective: bool, cull_back: bool, near: float
) -> _FaceTable:
    """Culls faces and describes the rest."""
    _, height, width = shape
    points = points.detach().float()
    x, y = pixel_coordinates(points, height, width)
    z = points[..., 2]
    usable = torch.isfinite(x) & torch.isfinite(y) & torch.isfinite(z)
    if perspective:
        usable &= z > near
    # Not-a-number makes every comparison below false, so faces with an unusable corner drop out.
    nearness = torch.where(usable, z.reciprocal() if perspective else -z, torch.nan)

    corners = faces.unbind(1)
    corner_x, corner_y, corner_n = ([v[:, k] for k in corners] for v in (x, y, nearness))
    area = doubled_areas(x, y, faces)
    low_x, high_x = _smallest(corner_x), _largest(corner_x)
    low_y, high_y = _smallest(corner_y), _largest(corner_y)
    # Pixel centres are at half-integers: rows whose centre lies in [low_y, high_y).
    first_row = torch.ceil(low_y - 0.5).clamp_(0, height)
    num_rows = torch.ceil(high_y - 0.5).clamp_(0, height) - first_row
    kept = (area > 0) if cull_back else (area != 0)
    kept &= (num_rows > 0) & (high_x > 0.5) & (low_x <= width - 0.5) & torch.isfinite(_largest(corner_n))
    kept = kept.flatten().nonzero().squeeze(1)  # (K,) index into (B, F)

    def keep(value: Tensor) -> Tensor:
        return value.flatten().index_select(0, kept)

    xs, ys, ns = (torch.stack([keep(v) for v in corner], 1) for corner in (corner_x, corner_y, corner_n))
    area, first_row = keep(area), keep(first_row)

    # Nearness is linear in the picture for both projections.
    dx, dy, dn = (v[:, 1:] - v[:, :1] for v in (xs, ys, ns))
    slope_x = (dn[:, 1] * dy[:, 0] - dn[:, 0] * dy[:, 1]) / area
    slope_y = (dn[:, 0] * dx[:, 1] - dn[:, 1] * dx[:, 0]) / area
    plane = torch.stack([xs[:, 0], ys[:, 0], ns[:, 0], slope_x, slope_y, ns.amin(1), ns.amax(1)], 0)

    # Corners from top to bottom: one long edge, and two short ones that meet at the middle corner. An edge always
    # runs from its upper corner, so that two faces that share it compute the very same crossings.
    ys, order = torch.sort(ys, dim=1)
    xs = xs.gather(1, order)
    long_slope = (xs[:, 2] - xs[:, 0]) / (ys[:, 2] - ys[:, 0])
    middle_is_left = xs[:, 1] < xs[:, 0] + (ys[:, 1] - ys[:, 0]) * long_slope
    frame = kept // len(faces)
    return _FaceTable(
        num_rows=keep(num_rows).to(torch.int64),
        frame_start=frame * (height * width),
        key=LOW_BITS - (kept - frame * len(faces)),
        edges=torch.stack([first_row, ys[:, 1], middle_is_left.to(xs.dtype), xs[:, 0], ys[:, 0], long_slope], 0),
        short_edges=torch.stack([xs[:, :2], ys[:, :2], (xs[:, 1:] - xs[:, :2]) / (ys[:, 1:] - ys[:, :2])], 0),
        plane=plane,
    )


def _nearest_keys(table: _FaceTable, shape: tuple[int, int, int]) -> Tensor:
    """(B * height * width,) key of the nearest face at each pixel centre; the nearness of none is -inf."""
    batch, height, width = shape
    empty = int(_ordered(torch.tensor(-torch.inf))) << 32
    device = table.key.device
    keys = torch.full((batch * height * width,), empty, dtype=torch.int64, device=device)
    limit = PIXELS_AT_ONCE.get(device.type, PIXELS_AT_ONCE["cuda"])
    # From faces to the rows they cross, and from rows to the pixels they span, a bounded number at a time.
    for faces in _pieces(table.num_rows, limit):
        start, num_columns, first, slope, key = _spans(table, faces, width)
        for rows in _pieces(num_columns, limit):
            owner, step = expand(num_columns[rows])
            nearness = torch.addcmul(first[rows].index_select(0, owner), slope[rows].index_select(0, owner), step)
            packed = _ordered(nearness).to(torch.int64) << 32
            packed |= key[rows].index_select(0, owner)
            # Of equal nearness, the greatest key belongs to the face that comes first in the list.
            keys.scatter_reduce_(0, start[rows].index_select(0, owner) + step, packed, "amax")
    return keys


def _spans(table: _FaceTable, faces: slice, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The R rows that some faces cross.

    Returns:
        All (R,): the first pixel, how many follow, its nearness, nearness gained a pixel, and the face's key.
    """
    owner, step = expand(table.num_rows[faces])
    first_row, middle_y, middle_is_left, long_x, long_y, long_slope = table.edges[:, faces].index_select(1, owner)
    row = first_row + step
    centre_y = row + 0.5
    short = 2 * owner + (centre_y >= middle_y)
    short_x, short_y, short_slope = table.short_edges[:, faces].flatten(1).index_select(1, short)
    on_long = long_x + (centre_y - long_y) * long_slope
    on_short = short_x + (centre_y - short_y) * short_slope
    left_is_short = middle_is_left > 0.5
    # Half-open again: the columns whose centre lies in [left, right).
    start = torch.ceil(torch.where(left_is_short, on_short, on_long) - 0.5).clamp_(0, width)
    end = torch.ceil(torch.where(left_is_short, on_long, on_short) - 0.5).clamp_(0, width)
    num_columns = (end - start).clamp_(min=0)

    # Nearness at both ends of a row is held inside the face's own range: thin faces have wild slopes.
    x_a, y_a, near_a, slope_x, slope_y, least, greatest = table.plane[:, faces].index_select(1, owner)
    last_step = (num_columns - 1).clamp_(min=0)
    first = near_a + (centre_y - y_a) * slope_y + (start + 0.5 - x_a) * slope_x
    last = torch.minimum(torch.maximum(first + last_step * slope_x, least), greatest)
    first = torch.minimum(torch.maximum(first, least), greatest)
    slope = (last - first) / last_step.clamp(min=1)

    pixel = table.frame_start[faces].index_select(0, owner) + (row * width + start).to(torch.int64)
    return pixel, num_columns.to(torch.int64), first, slope, table.key[faces].index_select(0, owner)


def _locate(
    corners: Tensor, pair: Tensor, centre_x: Tensor, centre_y: Tensor, *, perspective: bool
) -> tuple[Tensor, Tensor]:
    """Where pixel centres are on their faces.

    Args:
        corners: (3, Q, 3) x and y in pixels, and depth, of the three corners of each seen face.
        pair: (P,) which of them each pixel sees.
        centre_x, centre_y: (P,) pixel coordinates of the centres.
        perspective: whether depth divides the picture.

    Returns:
        Barycentrics (P, 3) and depth (P,), differentiable in the corners.
    """
    x, y, z = corners.unbind(0)
    # Relative to the first corner, which keeps float32 exact enough for small faces far from the origin.
    dx, dy = x[:, 1:] - x[:, :1], y[:, 1:] - y[:, :1]
    area = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
    slopes = torch.stack([dy[:, 1], -dx[:, 1], -dy[:, 0], dx[:, 0]], 1) / area[:, None]
    per_pair = torch.cat([x[:, :1], y[:, :1], slopes, z.reciprocal() if perspective else z], 1)
    corner_x, corner_y, slope_1x, slope_1y, slope_2x, slope_2y, z_0, z_1, z_2 = per_pair.index_select(0, pair).unbind(1)
    offset_x, offset_y = centre_x - corner_x, centre_y - corner_y
    # A centre on an edge may fall outside by rounding.
    second = (offset_x * slope_1x + offset_y * slope_1y).clamp(0, 1)
    third = (offset_x * slope_2x + offset_y * slope_2y).clamp(0, 1)
    first = (1 - second - third).clamp(0, 1)
    total = first + second + third
    if perspective:
        first, second, third = first * z_0, second * z_1, third * z_2
        inverse_depth = first + second + third
        share = inverse_depth.reciprocal()
        return torch.stack([first * share, second * share, third * share], 1), total * share
    share = total.reciprocal()
    first, second, third = first * share, second * share, third * share
    return torch.stack([first, second, third], 1), first * z_0 + second * z_1 + third * z_2


def expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Repeats each index as often as its count says; also returns the number of each repetition, from zero."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts, output_size=total)
    step = torch.arange(total, device=counts.device) - (ends - counts).index_select(0, owner)
    return owner, step


def _pieces(counts: Tensor, limit: int) -> Iterator[slice]:
    """Cuts a list into runs whose counts sum to about `limit` at most (a single longer entry stands alone)."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    marks = torch.arange(limit, total + limit, limit, device=counts.device)
    stops = torch.searchsorted(ends, marks, right=True).clamp(max=len(counts)).tolist()
    start = 0
    for stop in [*stops, len(counts)]:
        if stop > start:
            yield slice(start, stop)
            start = stop


def _smallest(corners: list[Tensor]) -> Tensor:
    return torch.minimum(torch.minimum(corners[0], corners[1]), corners[2])


def _largest(corners: list[Tensor]) -> Tensor:
    return torch.maximum(torch.maximum(corners[0], corners[1]), corners[2])
