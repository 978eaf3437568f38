"""Where the mouth of a mesh is: its opening, the inner lips in the middle of it, and its corners.

A region of lips may be the lips, as in FLAME's masks, or the whole lower face, as in BIWI's `lve.txt`. What both meshes share
is an opening: the inside of the lips ends in a loop of edges with a triangle on one side only. Where there is no such loop (a
mouth with a bag behind it, or one sewn shut), the region itself must tell. All thresholds are ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError

# An opening lies within the region of lips and this much of its size beyond, since the inside of the lips may be no part of it.
_BEYOND = 0.25
# An opening smaller than this part of the region is a nostril, or a hole that somebody left.
_SMALLEST_OPENING = 0.25
# A region larger than the opening by more than this holds more than lips: those of FLAME's masks are 1.15 times as wide.
_MORE_THAN_LIPS = 1.4


@dataclass(frozen=True)
class Mouth:
    """A mouth at rest; left and right are the subject's, +X and -X.

    Attributes:
        centre: (3,) of what is between its corners.
        width: w, head units.
        lips: vertices of the region that are lips: within 0.55 w to each side of the centre and 0.3 w above and below.
        top: vertex in the middle of the inner upper lip.
        bottom: of the inner lower lip.
        left: corner of the mouth.
        right: likewise.
    """

    centre: NDArray[np.float32]
    width: float
    lips: NDArray[np.int32]
    top: int
    bottom: int
    left: int
    right: int


def find_mouth(
    name: str, units: str, template: NDArray[np.float32], faces: NDArray[np.int32], region: NDArray[np.int32]
) -> Mouth:
    """Finds the mouth of a face that looks to +Z with +Y up.

    Args:
        name: of the head, for messages.
        units: of the template, likewise.
        template: (V, 3).
        faces: (F, 3).
        region: (M,) vertices of the lips, or of the lower face.

    Raises:
        ThunderError: these vertices cannot be lips.
    """
    box = template[mouth_vertices(template, faces, region)]
    low, high = box.min(axis=0), box.max(axis=0)
    centre, width = (low + high) / 2, float(high[0] - low[0])
    if width <= 0 or width > 0.8 * np.ptp(template[:, 0]):
        raise ThunderError(
            f"head {name}: {len(region)} lip vertices {width:.3g} {units} wide cannot be lips of this mesh; "
            f"check that they were chosen on it"
        )
    aside, above = np.abs(template[region] - centre)[:, :2].T
    lips = region[(aside <= 0.55 * width) & (above <= 0.3 * width)]
    upper, lower, is_slit = _two_lips(template, faces, lips, centre, width)
    # On lips that touch, several pairs are about as near; the one closest to the midline is the landmark.
    gap = np.linalg.norm(template[upper, None] - template[lower], axis=-1)
    off_middle = np.abs(template[upper, None, 0] - centre[0]) + np.abs(template[lower, 0] - centre[0])
    row, column = np.unravel_index(np.argmin(gap + 0.5 * off_middle), gap.shape)
    top, bottom = int(upper[row]), int(lower[column])
    corners = []
    for side in (1.0, -1.0):
        outermost = int(lips[(side * template[lips, 0]).argmax()])
        found = _corner(template, faces, centre, width, side, (top, bottom)) if is_slit else None
        corners.append(outermost if found is None else found)
    return Mouth(centre, width, lips, top, bottom, *corners)


def mouth_vertices(
    template: NDArray[np.float32], faces: NDArray[np.int32], region: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Vertices whose box is the mouth, whichever way the face looks.

    They are those of the region, or of the opening where the region is more than lips.
    """
    opening = _opening(template, faces, region)
    if len(opening) and _size(template[region]) > _MORE_THAN_LIPS * _size(template[opening]):
        return opening
    return region


def _opening(template: NDArray[np.float32], faces: NDArray[np.int32], region: NDArray[np.int32]) -> NDArray[np.int32]:
    """Vertices of the largest open border among the lips; none where there is no such border.

    The rim of a neck or of a mask leaves the region, eyes and ears lie outside, and teeth and tongue are meshes of their own.
    """
    ends = np.sort(_edges(faces), axis=1).astype(np.int64)
    codes, counts = np.unique(ends[:, 0] * len(template) + ends[:, 1], return_counts=True)
    edges = np.stack(np.divmod(codes, len(template)), axis=-1)
    border = edges[counts == 1]
    on_border = np.unique(border)
    if not len(on_border):
        return on_border.astype(np.int32)
    mesh = pieces(edges, np.arange(len(template)))
    loop = pieces(border, on_border)
    low, high = template[region].min(axis=0), template[region].max(axis=0)
    margin = _BEYOND * _size(template[region])
    outside = ((template[on_border] < low - margin) | (template[on_border] > high + margin)).any(axis=1)
    outside |= ~np.isin(mesh[on_border], mesh[region])
    best = on_border[:0]
    for label in np.setdiff1d(loop, loop[outside]):
        vertices = on_border[loop == label]
        if _size(template[vertices]) > max(
            _SMALLEST_OPENING * _size(template[region]), _size(template[best]) if len(best) else 0.0
        ):
            best = vertices
    return best.astype(np.int32)


def _size(points: NDArray[np.float32]) -> float:
    return float(np.ptp(points, axis=0).max())


def _two_lips(
    template: NDArray[np.float32],
    faces: NDArray[np.int32],
    lips: NDArray[np.int32],
    centre: NDArray[np.float32],
    width: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32], bool]:
    """Vertices of the upper and of the lower lip in the middle fifth of the mouth, and whether a slit parts them.

    There the lips are two pieces of surface, since the slit between them is no edge; the upper piece is what lies higher.
    """
    strip = lips[np.abs(template[lips, 0] - centre[0]) <= 0.1 * width]
    piece = pieces(_edges(faces), strip)
    names, counts = np.unique(piece, return_counts=True)
    is_slit = len(names) >= 2
    if is_slit:
        pair = names[np.argsort(-counts, kind="stable")[:2]]
        first, second = (strip[piece == n] for n in pair)
    else:  # A mesh without a slit: the heights must do.
        middle = np.median(template[strip, 1]) if len(strip) else 0.0
        first, second = strip[template[strip, 1] > middle], strip[template[strip, 1] <= middle]
    if not len(first) or not len(second):
        raise ThunderError(
            f"{len(strip)} lip vertices in the middle of the mouth, wanted some of each lip; choose more of the lips"
        )
    if template[first, 1].mean() < template[second, 1].mean():
        first, second = second, first
    return first, second, is_slit


def _corner(
    template: NDArray[np.float32],
    faces: NDArray[np.int32],
    centre: NDArray[np.float32],
    width: float,
    side: float,
    midpoints: tuple[int, int],
) -> int | None:
    """The vertex where upper and lower lip meet on one side; None where they do not do so within reach.

    Of all ways over the skin from one lip to the other, one strays least from the middle; the corner is its outermost vertex.
    """
    offset = template - centre
    outwards = side * offset[:, 0]
    # Corners lie a quarter of w behind the middle of the lips; far behind it may be the end of a bag, where they meet too.
    behind = template[list(midpoints), 2].min() - template[:, 2]
    near = (np.abs(offset[:, 1]) <= 0.5 * width) & (behind <= 0.45 * width)
    reach = np.flatnonzero(near & (outwards >= -0.1 * width) & (outwards <= 0.7 * width))
    reach = reach[np.argsort(outwards[reach], kind="stable")]
    edges = _edges(faces)
    edges = edges[np.isin(edges, reach).all(axis=1)]

    def meet(count: int) -> bool:
        """Whether the lips meet on the `count` vertices nearest to the middle."""
        label = dict(zip(reach[:count].tolist(), pieces(edges, reach[:count]).tolist(), strict=True))
        return label.get(midpoints[0], -1) == label.get(midpoints[1], -2)

    few, many = 0, len(reach)
    if not meet(many):
        return None
    while many - few > 1:
        half = (few + many) // 2
        few, many = (few, half) if meet(half) else (half, many)
    corner = int(reach[many - 1])
    return corner if outwards[corner] >= 0.15 * width else None


def _edges(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def pieces(edges: NDArray[np.integer], vertices: NDArray[np.integer]) -> NDArray[np.int64]:
    """Labels (M,) of the connected pieces that edges (E, 2) form among some vertices."""
    position = np.full(max(int(edges.max(initial=0)), int(vertices.max(initial=0))) + 1, -1)
    position[vertices] = np.arange(len(vertices))
    ends = position[edges]
    ends = ends[(ends >= 0).all(axis=1)]
    label = np.arange(len(vertices))
    while True:  # Each round joins pieces that touch, and then names each vertex as its piece's first one is named.
        spread = label.copy()
        lowest = np.minimum(label[ends[:, 0]], label[ends[:, 1]])
        np.minimum.at(spread, label[ends[:, 0]], lowest)
        np.minimum.at(spread, label[ends[:, 1]], lowest)
        while (spread[spread] != spread).any():
            spread = spread[spread]
        if (spread[label] == label).all():
            return label
        label = spread[label]
