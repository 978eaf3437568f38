"""Distances between motions: values, velocities, accelerations.

Every function takes (B, T, ...) tensors and a mask (B, T), True where the frame is real, and returns one value an item,
(B,), so that a trainer can weight items by their timestep.
"""

import torch
from torch import Tensor


def mean_square(error: Tensor, mask: Tensor) -> Tensor:
    """Mean square of (B, T, ...) over real frames: (B,)."""
    per_frame = error.square().reshape(*error.shape[:2], -1).mean(-1)  # (B, T)
    return (per_frame * mask).sum(1) / mask.sum(1).clamp_min(1)


def mean_absolute(error: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute value of (B, T, ...) over real frames: (B,)."""
    per_frame = error.abs().reshape(*error.shape[:2], -1).mean(-1)  # (B, T)
    return (per_frame * mask).sum(1) / mask.sum(1).clamp_min(1)


def velocity(estimate: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean square error of first differences: (B,)."""
    error = estimate - truth
    return mean_square(error[:, 1:] - error[:, :-1], mask[:, 1:] * mask[:, :-1])


def smoothness(estimate: Tensor, mask: Tensor) -> Tensor:
    """Mean square of second differences of the estimate itself: (B,)."""
    difference = estimate[:, 2:] - 2 * estimate[:, 1:-1] + estimate[:, :-2]
    return mean_square(difference, mask[:, 2:] * mask[:, :-2])


def lip_gap(lip_top: Tensor, lip_bottom: Tensor) -> Tensor:
    """Distance of the inner lip mid-points: (B, T, 3), (B, T, 3) -> (B, T), with a gradient also where they touch."""
    return ((lip_top - lip_bottom).square().sum(-1) + 1e-10).sqrt()


def closure(gap: Tensor, true_gap: Tensor, scale: float, mask: Tensor) -> Tensor:
    """Mean square error of the lip gap in units of `scale`, five times as strict where the lips touch: (B,).

    A gap of a millimetre is a small error of position in a vowel, and the loss of a /p/, /b/ or /m/. The weight falls from 5
    at a true gap of 0 to 1 over a fifth of `scale`, the gap's root mean square in speech. The form is ours.
    """
    weight = 1 + 4 * torch.exp(-true_gap / (0.2 * scale))
    return mean_square(weight.sqrt() * (gap - true_gap) / scale, mask)
