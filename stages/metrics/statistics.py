"""A figure over clips and how far it can be trusted: weighted means and bootstrap intervals."""

import numpy as np
from numpy.typing import ArrayLike

# Resampled clip indices held at once; bounds the memory of the bootstrap at a few tens of megabytes.
_BLOCK_SIZE = 1 << 21


def weighted_mean(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean of values over clips; a mean pooled over frames where the weights are the clips' frame counts.

    Args:
        values: (C,), one a clip.
        weights: (C,), positive; all equal where None.
    """
    values = np.asarray(values, np.float64)
    return float(np.average(values, weights=None if weights is None else np.asarray(weights, np.float64)))


def bootstrap_interval(
    values: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    seed: int = 0,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the weighted mean over clips.

    Whole clips are drawn with replacement, each with its weight, so that a mean pooled over frames is resampled as the
    ratio that it is. Frames of one clip are never split up: they are not independent. With few clips (under about 20)
    such an interval is too narrow.

    Args:
        values: (C,), one a clip.
        weights: (C,), positive; all equal where None.
        seed: equal seeds draw equal clips, so that two metrics over the same clips are resampled alike.
        num_resamples: how often C clips are drawn.
        confidence: probability inside the interval.

    Returns:
        low and high; NaN for fewer than two clips, which say nothing about their spread.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    values = np.asarray(values, np.float64)
    num_clips = len(values)
    if num_clips < 2:
        return float("nan"), float("nan")
    weights = np.ones(num_clips) if weights is None else np.asarray(weights, np.float64)
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK_SIZE // num_clips)
    means = []
    for start in range(0, num_resamples, rows):
        drawn = rng.integers(num_clips, size=(min(rows, num_resamples - start), num_clips))  # (R, C)
        means.append((weights * values)[drawn].sum(1) / weights[drawn].sum(1))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(means), (tail, 100 - tail))
    return float(low), float(high)
