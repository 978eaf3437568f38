"""Smooth displacement of the skin from a few pulled places, as an elastic sheet would follow.

The displacement minimises the sheet's bending energy: u solves L^T M^-1 L u = 0 between the places that are pulled and
those that are held, with L the cotangent Laplacian and M the vertices' areas. It meets the held skin without a crease, and
it follows the surface: the upper lip does not feel the lower lip across the slit.
Source: Botsch and Kobbelt, "An Intuitive Framework for Real-Time Freeform Modeling", SIGGRAPH 2004.
"""

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import splu


def bending_energy(points: np.ndarray, faces: np.ndarray) -> csr_matrix:
    """(V, V) matrix K of the bending energy u^T K u of a surface.

    Args:
        points: (V, 3) positions.
        faces: (F, 3) faces.
    """
    num = len(points)
    rows, cols, weights = [], [], []
    areas = np.zeros(num)
    for k in range(3):
        a, b, c = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        u, v = points[b] - points[a], points[c] - points[a]
        twice_area = np.linalg.norm(np.cross(u, v), axis=1)
        cotangent = np.clip((u * v).sum(1) / np.maximum(twice_area, 1e-9), 0.05, 6.0)
        rows += [b, c]
        cols += [c, b]
        weights += [0.5 * cotangent, 0.5 * cotangent]
        np.add.at(areas, a, twice_area / 6)
    w = csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(cols))), shape=(num, num))
    laplacian = diags(np.asarray(w.sum(1)).ravel()) - w
    return csr_matrix(laplacian.T @ diags(1.0 / np.maximum(areas, 0.05 * areas.mean())) @ laplacian)


def follow(energy: csr_matrix, pulled: np.ndarray, values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Extends values at pulled vertices smoothly over the sheet, zero at held ones.

    Args:
        energy: (V, V) from `bending_energy`.
        pulled: (P,) distinct vertices.
        values: (P, C) their values.
        held: (V,) bool, vertices held at zero; a vertex that is also pulled follows its pull.

    Returns:
        (V, C) values everywhere.
    """
    result = np.zeros((energy.shape[0], values.shape[1]))
    result[pulled] = values
    free = ~held
    free[pulled] = False
    unknown = np.flatnonzero(free)
    system = energy[unknown]
    right_side = -np.asarray(system[:, pulled] @ values)
    result[unknown] = splu(system[:, unknown].tocsc()).solve(right_side)
    return result
