"""The skin between the rings: well-spaced vertices on the left half of the head, triangulated in one flat chart.

The chart is the stereographic projection of directions from the middle of the head with its pole at the crown: the neck's
opening surrounds it, and the plane of symmetry is a straight line, so that a Delaunay triangulation fills the half exactly.
"""

from itertools import pairwise

import numpy as np

from stages.heads.mannequin import surface
from stages.heads.mannequin.surface import HEAD_CENTRE, NECK_BOTTOM

SEED = 7
_RELAXATIONS = 14


def spacing(p: np.ndarray) -> np.ndarray:
    """Wanted distance between neighbouring vertices at points (..., 3), mm."""
    coarse = (
        7.2 + 8.0 * np.clip((55.0 - p[..., 2]) / 90.0, 0.0, 1.0) + 2.0 * np.clip((p[..., 1] - 40.0) / 50.0, 0.0, 1.0)
    )
    nose = np.array([0.0, -40.0, 108.0])
    near_nose = np.linalg.norm((p - nose) / np.array([1.0, 0.85, 1.3]), axis=-1)
    bridge = np.hypot(p[..., 0], (p[..., 1] + 15.0) * 0.45) + np.clip(70.0 - p[..., 2], 0, None)
    fine = np.minimum(2.3 + 0.12 * np.clip(near_nose - 8.0, 0, None), 3.8 + 0.13 * np.clip(bridge - 9.0, 0, None))
    ear = np.linalg.norm((p - np.array([72.0, -9.0, -10.0])) * np.array([0.5, 0.6, 1.0]), axis=-1)
    return np.minimum(np.minimum(coarse, fine), 6.5 + 0.16 * np.clip(ear - 18.0, 0, None))


def _chart(p: np.ndarray) -> np.ndarray:
    d = (p - HEAD_CENTRE) / np.linalg.norm(p - HEAD_CENTRE, axis=-1, keepdims=True)
    return d[..., [0, 2]] / (1.0 + d[..., 1:2])


def _walk(line: np.ndarray) -> np.ndarray:
    """Vertices along a dense polyline at the wanted spacing, without its two ends."""
    length = np.linalg.norm(np.diff(line, axis=0), axis=1)
    density = np.concatenate([[0.0], np.cumsum(length / spacing(0.5 * (line[1:] + line[:-1])))])
    count = max(round(density[-1]), 1)
    at = np.linspace(0.0, density[-1], count + 1)[1:-1]
    return np.stack([np.interp(at, density, line[:, k]) for k in range(3)], 1)


def _middle_line(angle_from: float, angle_to: float) -> np.ndarray:
    """Profile between two angles about HEAD_CENTRE in the plane of symmetry, 0 in front, increasing over the crown."""
    angle = np.linspace(angle_from, angle_to, 900)
    directions = np.stack([0 * angle, np.sin(angle), np.cos(angle)], 1)
    return surface.cast(HEAD_CENTRE, directions, 230.0)


def _angle(p: np.ndarray) -> float:
    """Angle of a point about HEAD_CENTRE as in `_middle_line`, from below the chin over the crown to the nape."""
    angle = float(np.arctan2(p[1] - HEAD_CENTRE[1], p[2] - HEAD_CENTRE[2]))
    return angle + 2 * np.pi if angle < -np.pi / 2 else angle


def _split(line: np.ndarray, at: np.ndarray) -> list[np.ndarray]:
    """Cuts a dense polyline of the middle at the points (P, 3) of it."""
    cuts = sorted(int(((line - p) ** 2).sum(1).argmin()) for p in at)
    bounds = [0, *cuts, len(line) - 1]
    return [line[a : b + 1] for a, b in pairwise(bounds)]


def _neck_ring() -> np.ndarray:
    """Dense half circle of the neck's lower edge from the front to the back."""
    angle = np.linspace(0.0, np.pi, 400)
    directions = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    return surface.cast(np.array([0.0, NECK_BOTTOM, -25.0]), directions, 120.0, 5.0)


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(N,) whether 2D points lie inside a polygon."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, 0, None], points[:, 1, None]
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return (crosses & (x < at)).sum(1) % 2 == 1


def _scatter(fixed: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Vertices thrown on the half head in random order, each kept where no neighbour is too close."""
    rng = np.random.default_rng(SEED)
    grid = np.meshgrid(np.linspace(0.02, 2.95, 190), np.linspace(0.02, np.pi - 0.02, 150), indexing="ij")
    polar, azimuth = (g.ravel() for g in grid)
    directions = np.stack([np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], 1)
    candidates = surface.cast(HEAD_CENTRE, directions, 230.0)
    # From the middle of the head the neck is seen at a glancing angle: sample it from its own axis.
    height, around = np.meshgrid(np.linspace(NECK_BOTTOM, -105.0, 60), np.linspace(0.02, np.pi - 0.02, 70))
    axis = np.stack([0 * height, height, 0 * height - 22.0], -1).reshape(-1, 3)
    sideways = np.stack([np.sin(around), 0 * around, np.cos(around)], -1).reshape(-1, 3)
    neck = surface.cast(axis, sideways, 90.0, 5.0)
    above = candidates[(candidates[:, 1] > -105.0) | (candidates[:, 2] > 48.0)]
    candidates = np.concatenate([above, neck[neck[:, 2] <= 48.0]])
    nose = candidates[spacing(candidates) < 4.5]
    shifts = rng.uniform(-1.5, 1.5, (3, *nose.shape))
    near_nose = surface.project((nose + shifts).reshape(-1, 3), 3)
    # Only what HEAD_CENTRE sees has a place in the chart.
    outward = near_nose - HEAD_CENTRE
    candidates = np.concatenate([candidates, surface.cast(HEAD_CENTRE, _unit(outward), 230.0)])
    room = spacing(candidates)
    ok = (candidates[:, 1] > NECK_BOTTOM + 0.5 * room) & (candidates[:, 0] > 0.45 * room)
    flat = _chart(candidates)
    for hole in holes:
        ok &= ~_inside(flat, _chart(hole))
    candidates, room = candidates[ok], room[ok]

    order = rng.permutation(len(candidates))
    kept = np.empty((len(fixed) + len(candidates), 3))
    kept[: len(fixed)] = fixed
    count = len(fixed)
    for k in order:
        if (((kept[:count] - candidates[k]) ** 2).sum(1)).min() > (0.80 * room[k]) ** 2:
            kept[count] = candidates[k]
            count += 1
    return kept[len(fixed) : count]


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _triangulate(points: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Delaunay triangles of the chart outside the holes, facing outward."""
    from scipy.spatial import Delaunay

    flat = _chart(points)
    faces = Delaunay(flat).simplices
    a, b, c = (flat[faces[:, k]] for k in range(3))
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    faces = faces[np.abs(turn) > 1e-9]
    turn = turn[np.abs(turn) > 1e-9]
    centroid = flat[faces].mean(1)
    keep = np.ones(len(faces), bool)
    for hole in holes:
        keep &= ~_inside(centroid, flat[hole])
    faces, turn = faces[keep], turn[keep]
    # The chart shows x to the right and z upward seen from the crown: outward is clockwise there.
    return np.where((turn > 0)[:, None], faces[:, [0, 2, 1]], faces)


def _flip(points: np.ndarray, faces: np.ndarray, passes: int = 12) -> np.ndarray:
    """Turns inner edges whose opposite angles exceed a half turn, so that triangles are well shaped in space too."""
    for _ in range(passes):
        half = {}
        for k, (a, b, c) in enumerate(faces):
            half[a, b], half[b, c], half[c, a] = (k, c), (k, a), (k, b)
        busy: set[int] = set()
        turned = faces.copy()
        for (a, b), (k, c) in half.items():
            if a > b or (b, a) not in half or k in busy:
                continue
            j, d = half[b, a]
            if j in busy or (c, d) in half or (d, c) in half:
                continue
            at_c = _cosine(points[a] - points[c], points[b] - points[c])
            at_d = _cosine(points[a] - points[d], points[b] - points[d])
            if np.arccos(at_c) + np.arccos(at_d) > np.pi + 0.05:
                turned[k], turned[j] = (c, a, d), (d, b, c)
                busy |= {k, j}
        faces = turned
        if not busy:
            break
    return faces


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.clip(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-12), -1.0, 1.0))


def _smooth(points: np.ndarray, faces: np.ndarray, free: np.ndarray, along_middle: np.ndarray) -> np.ndarray:
    """Moves vertices half way to the mean of their neighbours; those on the plane of symmetry stay on it."""
    from scipy.sparse import csr_matrix

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    weights = csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(points), len(points)))
    mean = (weights @ points) / np.asarray(weights.sum(1))
    moved = points.copy()
    moved[free] += 0.5 * (mean - points)[free]
    moved[along_middle, 0] = 0.0
    return moved


def build(
    mouth_ring: np.ndarray, eye_ring: np.ndarray, ear_ring: np.ndarray, pinned: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fills the left half of the skin.

    Args:
        mouth_ring: (M, 3) outer ring of the mouth, from the middle above to the middle below.
        eye_ring: (E, 3) closed outer ring of the lids.
        ear_ring: (R, 3) closed ring on the skin round the ear.
        pinned: (P, 3) further vertices that stay: brow and hairline; those with x = 0 lie on the plane of symmetry.

    Returns:
        points: (N, 3), rings and pinned first in the order given, then the rest.
        faces: (F, 3), outward.
        on_middle: (N,) vertices on the plane of symmetry.
    """
    neck = _neck_ring()
    over = np.concatenate([_middle_line(_angle(mouth_ring[0]), np.pi), _middle_line(np.pi, _angle(neck[-1]))[1:]])
    below = _middle_line(_angle(mouth_ring[-1]), _angle(neck[0]))
    ends = np.stack([neck[0], neck[-1]])
    middle = np.concatenate([*(_walk(part) for part in _split(over, pinned[pinned[:, 0] == 0.0])), _walk(below)])
    middle[:, 0] = 0.0
    rings = np.concatenate([mouth_ring, eye_ring, ear_ring, pinned])
    fixed = np.concatenate([rings, middle, ends, _walk(neck)])
    num_rings = len(rings)
    holes = [mouth_ring, eye_ring, ear_ring]
    bounds = np.cumsum([0, len(mouth_ring), len(eye_ring), len(ear_ring)])
    hole_index = [np.arange(a, b) for a, b in pairwise(bounds)]

    points = np.concatenate([fixed, _scatter(fixed, holes)])
    on_middle = np.zeros(len(points), bool)
    on_middle[[0, len(mouth_ring) - 1]] = True
    on_middle[:num_rings] |= rings[:, 0] == 0.0
    on_middle[num_rings : num_rings + len(middle) + 2] = True
    points[on_middle, 0] = 0.0
    free = np.ones(len(points), bool)
    free[:num_rings] = False
    free[num_rings + len(middle) : len(fixed)] = False
    for _ in range(_RELAXATIONS):
        faces = _triangulate(points, hole_index)
        points = _smooth(points, faces, free, on_middle)
        directions = _unit(points[free] - HEAD_CENTRE)
        points[free] = surface.cast(HEAD_CENTRE, directions, 230.0)
        points[on_middle, 0] = 0.0
    faces = _triangulate(points, hole_index)
    for _ in range(6):  # a last, free relaxation reaches what the middle of the head does not see evenly
        points = _smooth(points, faces, free, on_middle)
        points[free] = surface.project(points[free], 2)
        points[on_middle, 0] = 0.0
        faces = _flip(points, faces, passes=3)
    return points, faces, on_middle
