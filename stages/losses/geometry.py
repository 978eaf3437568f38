"""Distances between motions: values, velocities, accelerations.

Every function takes (B, T, ...) tensors and a mask (B, T), True where the frame is real, and returns one value an item,
(B,), so that a trainer can weight items by their timestep.
"""

from torch import Tensor


def mean_square(error: Tensor, mask: Tensor) -> Tensor:
    """Mean square of (B, T, ...) over real frames: (B,)."""
    per_frame = error.square().flatten(2).mean(-1)  # (B, T)
    return (per_frame * mask).sum(1) / mask.sum(1).clamp_min(1)


def velocity(estimate: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean square error of first differences: (B,)."""
    error = estimate - truth
    return mean_square(error[:, 1:] - error[:, :-1], mask[:, 1:] * mask[:, :-1])


def smoothness(estimate: Tensor, mask: Tensor) -> Tensor:
    """Mean square of second differences of the estimate itself: (B,)."""
    difference = estimate[:, 2:] - 2 * estimate[:, 1:-1] + estimate[:, :-2]
    return mean_square(difference, mask[:, 2:] * mask[:, :-2])
