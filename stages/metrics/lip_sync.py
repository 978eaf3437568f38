"""Whether the lips move as they should: with the true lips (L-PCC, L-CCC, DTW), and to a close where the phones say so.

The seeds print these names without their formulas; the definitions are ours. For correlation (L-PCC) and concordance (L-CCC)
the motion of all lip vertices is one signal with C = 3 V channels, x(t) in space, and its variance and covariance are summed
over channels:

    s_xy = Σ_c mean_t (x_c − x̄_c)(y_c − ȳ_c)        s_x² = s_xx

Summing before dividing weights every channel by how much it moves, so that coordinates which hardly move add no noise, and
makes the figures independent of the directions of the axes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# How far apart in time two frames may be that are compared: a delay that is still seen as being in time, and shorter than a
# syllable, so that no sound stands for another.
_WARP_S = 0.2
# Lips count as closed where their gap is at most this share of the wide-open one, this near the phone.
_CLOSED_SHARE, _CLOSED_WITHIN_S = 0.15, 0.04
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


def lip_warping_distance(lips: Tensor, true_lips: Tensor, fps: float) -> Tensor:
    """DTW: distance of lip motions after the best alignment in time, in which a sound may come 0.2 s early or late.

    The cost of setting frame i of one against frame j of the other is the mean over lip vertices of the L2 distance. Paths
    go from (0, 0) to (T − 1, T − 1) by steps (1, 0) and (0, 1), which weigh 1, and (1, 1), which weighs 2, as does the first
    cell, within |i − j| <= 0.2 s; the figure is the smallest sum along a path over its weights, 2 T. So equal motion has 0,
    a constant offset its own length, and no motion has more than without the alignment. Over clips: frames pooled.

    Args:
        lips: (..., T, V, 3), lip vertices without head pose, head units.
        true_lips: (T, V, 3) or (..., T, V, 3).
        fps: frames per second.

    Returns:
        (...), head units.

    Source:
        Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word recognition" (1978): the symmetric form
        without slope constraint, in a band. That of the seeds is not known.
    """
    num_frames = lips.shape[-3]
    reach = min(round(_WARP_S * fps), num_frames - 1)
    shape = torch.broadcast_shapes(lips.shape[:-3], true_lips.shape[:-3])
    # Cells of i + j = s and j − i = k: those of one s follow from those before, all at once.
    cost = lips.new_full((*shape, 2 * num_frames - 1, 2 * reach + 1), torch.inf)
    for k in range(-reach, reach + 1):
        length = num_frames - abs(k)
        early = lips[..., max(0, -k) : max(0, -k) + length, :, :]
        late = true_lips[..., max(0, k) : max(0, k) + length, :, :]
        cost[..., abs(k) : abs(k) + 2 * length : 2, k + reach] = torch.linalg.vector_norm(early - late, dim=-1).mean(-1)
    return torch.as_tensor(_cheapest_path(cost.double().cpu().numpy()) / (2 * num_frames)).to(lips)


def _cheapest_path(cost: np.ndarray) -> np.ndarray:
    """Smallest weighted sum of (..., 2 T - 1, 2 r + 1) costs of cells i + j = s, j − i = k − r: (...)."""
    reach = cost.shape[-1] // 2
    edge = np.full((*cost.shape[:-2], 1), np.inf)
    before = np.full((*cost.shape[:-2], cost.shape[-1]), np.inf)
    here = before.copy()
    here[..., reach] = 2 * cost[..., 0, reach]
    for s in range(1, cost.shape[-2]):
        padded = np.concatenate([edge, here, edge], axis=-1)
        straight = np.minimum(padded[..., :-2], padded[..., 2:]) + cost[..., s, :]
        before, here = here, np.minimum(straight, before + 2 * cost[..., s, :])
    return here[..., reach]


def closure_rate(gap: Tensor, closures: Sequence[tuple[float, float]], fps: float) -> Tensor:
    """Share of /p/, /b/ and /m/ in which the lips close. Over clips: weighted by closures.

    Closed: the smallest gap between the inner lips, from 40 ms before the phone to 40 ms after it, is at most 0.15 of the 95th
    percentile of the gap in the same motion. The lips of a face that hardly moves are measured by its own small opening, so
    read it beside L-CCC.

    Args:
        gap: (..., T), distance of the mid-points of the inner lips, head units.
        closures: start and end of these phones, seconds.
        fps: frames per second.

    Returns:
        (...), 0 to 1; NaN where no phone lies within the motion.
    """
    limit = _CLOSED_SHARE * torch.quantile(gap.double(), 0.95, dim=-1)
    spans = [_frames_near(closure, fps, gap.shape[-1]) for closure in closures]
    reached = [gap[..., span].amin(-1) <= limit for span in spans if span.start < span.stop]
    return torch.stack(reached).double().mean(0) if reached else torch.full_like(limit, torch.nan)


def closures_within(
    closures: Sequence[tuple[float, float]], fps: float, num_frames: int
) -> tuple[tuple[float, float], ...]:
    """Those of the phones of which a motion of so many frames shows anything."""
    spans = [_frames_near(closure, fps, num_frames) for closure in closures]
    return tuple(closure for closure, span in zip(closures, spans, strict=True) if span.start < span.stop)


def _frames_near(closure: tuple[float, float], fps: float, num_frames: int) -> slice:
    """The frames in which lips may close for a phone; frame t stands at t / fps seconds."""
    start_s, end_s = closure
    first = math.ceil((start_s - _CLOSED_WITHIN_S) * fps - 1e-6)
    last = math.floor((end_s + _CLOSED_WITHIN_S) * fps + 1e-6)
    return slice(max(0, first), min(num_frames, last + 1))


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
