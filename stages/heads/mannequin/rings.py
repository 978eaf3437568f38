"""Grids of rings: how loops round the mouth, the eyes and the ears become triangles, and how halves become a whole."""

import numpy as np


def ring_faces(index: np.ndarray, closed: bool, points: np.ndarray) -> np.ndarray:
    """Triangles between consecutive rings, each quad split along its shorter diagonal.

    Args:
        index: (K, C) vertex of every ring and column.
        closed: whether the last column joins the first.
        points: (V, 3) positions, to choose the diagonals.

    Returns:
        (F, 3) faces; rings growing outward and columns running counter-clockwise face the viewer.
    """
    following = np.roll(index, -1, axis=1) if closed else index[:, 1:]
    current = index if closed else index[:, :-1]
    a, b, c, d = current[:-1], current[1:], following[1:], following[:-1]
    a, b, c, d = (q.ravel() for q in (a, b, c, d))
    first = np.linalg.norm(points[a] - points[c], axis=1) <= np.linalg.norm(points[b] - points[d], axis=1)
    one = np.where(first[:, None], np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    two = np.where(first[:, None], np.stack([a, c, d], 1), np.stack([b, c, d], 1))
    return np.concatenate([one, two])


def fan_faces(ring: np.ndarray, centre: int, closed: bool) -> np.ndarray:
    """Triangles from one vertex to a ring; the same side as `ring_faces` of a grid that grows out of the centre."""
    following = np.roll(ring, -1) if closed else ring[1:]
    current = ring if closed else ring[:-1]
    return np.stack([np.full(len(current), centre), current, following], 1)


def mirror(points: np.ndarray, faces: np.ndarray, on_middle: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Makes a whole from the left half.

    Args:
        points: (N, 3) positions of the left half.
        faces: (F, 3) its faces.
        on_middle: (N,) whether a vertex lies on the plane of symmetry and is shared.

    Returns:
        points (V, 3), faces (2F, 3), and the permutation (V,) that maps every vertex to its mirror image.
    """
    num_half = len(points)
    points = points.copy()
    points[on_middle, 0] = 0.0
    image = np.arange(num_half)
    image[~on_middle] = num_half + np.arange((~on_middle).sum())
    other = points[~on_middle] * np.array([-1.0, 1.0, 1.0])
    whole_faces = np.concatenate([faces, image[faces][:, ::-1]])
    permutation = np.concatenate([image, np.flatnonzero(~on_middle)])
    return np.concatenate([points, other]), whole_faces, permutation
