"""Whether the lips move with the true lips: correlation (L-PCC) and concordance (L-CCC) of lip motion.

The seeds print these names without their formulas; the definition is ours. The motion of all lip vertices is one signal
with C = 3 V channels, x(t) in space, and its variance and covariance are summed over channels:

    s_xy = Σ_c mean_t (x_c − x̄_c)(y_c − ȳ_c)        s_x² = s_xx

Summing before dividing weights every channel by how much it moves, so that coordinates which hardly move add no noise, and
makes the figures independent of the directions of the axes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# Motion below this fraction of the size of the face is rounding of float32, not motion.
_ROUNDING = 1e-6


def lip_correlation(lips: Tensor, true_lips: Tensor) -> Tensor:
    """L-PCC: Pearson correlation s_xy / (s_x s_y) of lip motion, −1 to 1. Over clips: the mean.

    Blind to amplitude and to a constant offset: 1 where one motion is the other, scaled.

    Args:
        lips: (..., T, V, 3), lip vertices without head pose, head units.
        true_lips: (T, V, 3) or (..., T, V, 3).

    Returns:
        (...), NaN where either does not move.
    """
    moments = _moments(lips, true_lips)
    correlation = moments.covariance / (moments.variance * moments.true_variance).sqrt()
    still = (moments.variance <= moments.floor) | (moments.true_variance <= moments.floor)
    return correlation.masked_fill(still, torch.nan)


def lip_concordance(lips: Tensor, true_lips: Tensor) -> Tensor:
    """L-CCC: Lin's concordance 2 s_xy / (s_x² + s_y² + ‖x̄ − ȳ‖²) of lip motion, −1 to 1. Over clips: the mean.

    1 only where the motions are equal: too small a motion and a wrong resting position both lower it.

    Args:
        lips: (..., T, V, 3), lip vertices without head pose, head units.
        true_lips: (T, V, 3) or (..., T, V, 3).

    Returns:
        (...), NaN where neither moves.

    Source:
        Lin (1989), for one channel.
    """
    moments = _moments(lips, true_lips)
    concordance = 2 * moments.covariance / (moments.variance + moments.true_variance + moments.offset)
    still = (moments.variance <= moments.floor) & (moments.true_variance <= moments.floor)
    return concordance.masked_fill(still, torch.nan)


class _Moments(NamedTuple):
    """Sums over channels, (...) each: see the module; `offset` is ‖x̄ − ȳ‖², `floor` the variance of mere rounding."""

    covariance: Tensor
    variance: Tensor
    true_variance: Tensor
    offset: Tensor
    floor: Tensor


def _moments(lips: Tensor, true_lips: Tensor) -> _Moments:
    x, y = lips.flatten(-2).double(), true_lips.flatten(-2).double()  # (..., T, C)
    mean_x, mean_y = x.mean(-2, keepdim=True), y.mean(-2, keepdim=True)  # (..., 1, C)
    x, y = x - mean_x, y - mean_y
    return _Moments(
        covariance=(x * y).mean(-2).sum(-1),
        variance=x.square().mean(-2).sum(-1),
        true_variance=y.square().mean(-2).sum(-1),
        offset=(mean_x - mean_y).square().sum((-2, -1)),
        floor=(_ROUNDING * true_lips.abs().amax().double()).square() * y.shape[-1],
    )
