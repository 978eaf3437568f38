"""Which triangles of a mesh cut through each other: a vectorised segment-triangle test over overlapping boxes."""

import numpy as np


def intersecting_faces(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Pairs of faces (P, 2) without a common vertex of which an edge of one passes through the other.

    Args:
        points: (V, 3) positions.
        faces: (F, 3) faces.
    """
    points = points.astype(np.float64)
    pairs = _overlapping_boxes(points[faces])
    common = (faces[pairs[:, 0], :, None] == faces[pairs[:, 1], None, :]).any((1, 2))
    pairs = pairs[~common]
    hit = np.zeros(len(pairs), bool)
    for one, other in ((0, 1), (1, 0)):
        triangle = points[faces[pairs[:, other]]]
        for k in range(3):
            start, end = points[faces[pairs[:, one], k]], points[faces[pairs[:, one], (k + 1) % 3]]
            hit |= segment_hits_triangle(start, end, triangle)
    return pairs[hit]


def segment_hits_triangle(start: np.ndarray, end: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """(N,) whether segments (N, 3) to (N, 3) pass through the inside of triangles (N, 3, 3): Moeller and Trumbore."""
    direction = end - start
    e1, e2 = triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    p = np.cross(direction, e2)
    determinant = (e1 * p).sum(1)
    safe = np.where(np.abs(determinant) < 1e-18, 1.0, determinant)
    s = start - triangle[:, 0]
    q = np.cross(s, e1)
    u, v, t = (s * p).sum(1) / safe, (direction * q).sum(1) / safe, (e2 * q).sum(1) / safe
    return (np.abs(determinant) >= 1e-18) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0) & (t <= 1)


def _overlapping_boxes(corners: np.ndarray) -> np.ndarray:
    """Pairs (P, 2), first < second in no order of size, of triangles (F, 3, 3) whose boxes overlap."""
    low, high = corners.min(1), corners.max(1)
    order = np.argsort(low[:, 1])
    low, high = low[order], high[order]
    # In order of the lower bound along Y, a box overlaps only those that begin before it ends.
    last = np.searchsorted(low[:, 1], high[:, 1], side="right")
    pairs = []
    for begin in range(0, len(order), 256):
        rows = np.arange(begin, min(begin + 256, len(order)))
        columns = np.arange(begin, last[rows].max())
        overlap = (columns[None] > rows[:, None]) & (columns[None] < last[rows][:, None])
        for axis in (0, 2):
            overlap &= (low[columns, axis][None] <= high[rows, axis][:, None]) & (
                high[columns, axis][None] >= low[rows, axis][:, None]
            )
        r, c = np.nonzero(overlap)
        pairs.append(np.stack([order[rows[r]], order[columns[c]]], 1))
    return np.concatenate(pairs)
