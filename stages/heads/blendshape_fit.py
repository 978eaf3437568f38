"""Weights of given blend shapes, 0 to 1, that come closest to a motion of vertices in the least-squares sense.

Each frame is a bounded least-squares problem of its own, convex, so that the solution does not jump where the motion does not.
All frames are solved together by coordinate descent on the normal equations: one weight of all frames at a time goes to where
it is best given the others, and not out of its bounds.
"""

import numpy as np
from numpy.typing import NDArray

# Share of the mean diagonal that is added to it: shapes that are sums of others then have one answer, the smallest.
_RIDGE = 1e-7
_MOST_SWEEPS = 5000
# The last sweep changed no weight by more than this.
_TOLERANCE = 1e-6


def fit_blendshapes(
    displacements: NDArray[np.float32], shapes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Fits weights frame by frame.

    Args:
        displacements: (T, V, 3), of the face from rest, head rotation left out.
        shapes: (K, V, 3), displacements at weight 1; none is still.

    Returns:
        Weights (T, K) in 0..1, and the mean squared distance (T,) between vertices that remains, in squared units.
    """
    target = displacements.reshape(len(displacements), -1).astype(np.float64)  # (T, 3V)
    basis = shapes.reshape(len(shapes), -1).astype(np.float64)  # (K, 3V)
    gram = basis @ basis.T
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    aim = basis @ target.T  # (K, T)
    weights = np.linalg.solve(gram, aim).clip(0, 1)
    for _ in range(_MOST_SWEEPS):
        most = 0.0
        for k, row in enumerate(gram):
            better = (weights[k] + (aim[k] - row @ weights) / row[k]).clip(0, 1)
            most = max(most, float(np.abs(better - weights[k]).max(initial=0)))
            weights[k] = better
        if most < _TOLERANCE:
            break
    remaining = target - weights.T @ basis
    return weights.T.astype(np.float32), (remaining**2).sum(axis=1) / shapes.shape[1]
