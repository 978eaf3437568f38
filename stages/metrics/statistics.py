"""A figure over clips and seeds and how far it can be trusted: weighted means, bootstrap intervals, deviations."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


class Paired(NamedTuple):
    """Differences of two figures on the clips that both were measured on.

    Attributes:
        keys: the clips.
        values: (C,) differences, one a clip.
        weights: (C,) what they count; None where all count the same.
        mean, low, high: of the differences, with a 95 % bootstrap interval.
    """

    keys: tuple[str, ...]
    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    mean: float
    low: float
    high: float


def paired_difference(
    ours: Mapping[str, float], theirs: Mapping[str, float], weights: Mapping[str, float] | None = None, *, seed: int = 0
) -> Paired | None:
    """`ours − theirs`, clip by clip: what makes some clips hard for both is gone from the interval.

    Args:
        ours, theirs: clip -> value.
        weights: clip -> what it counts; all equal where None.

    Returns:
        None where they have no clip in common.
    """
    keys = tuple(key for key in ours if key in theirs)
    if not keys:
        return None
    values = np.array([ours[key] - theirs[key] for key in keys])
    counted = None if weights is None else np.array([weights[key] for key in keys], np.float64)
    low, high = bootstrap_interval(values, counted, seed=seed)
    return Paired(keys, values, counted, weighted_mean(values, counted), low, high)


class Summary(NamedTuple):
    """A figure over seeds and clips.

    Attributes:
        mean: over seeds, then over clips.
        low, high: 95 % bootstrap interval over clips of the mean over seeds: what other clips would change.
        deviation: standard deviation over seeds (n - 1) of the mean over clips: what another training would change.
        num_clips: those with a finite value for every seed.
    """

    mean: float
    low: float
    high: float
    deviation: float
    num_clips: int


def over_seeds(
    values: ArrayLike, weights: ArrayLike | None = None, *, seed: int = 0, num_resamples: int = 10_000
) -> Summary:
    """Summary of values of several trainings on the same clips.

    The difference of two models, clip by clip, is summarised as any figure: its interval is then a paired one, from which
    what makes some clips hard for both has gone.

    Args:
        values: (seeds, C); a clip with a value that is not finite is left out.
        weights: (C,) or (seeds, C), what each clip counts; all equal where None. A clip that weighs nothing is left out.
        seed: of the bootstrap.
        num_resamples: how often clips are drawn.

    Returns:
        NaN for what is not defined: the deviation of one seed, everything of no clip.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    weights = np.broadcast_to(1.0 if weights is None else np.asarray(weights, np.float64), table.shape)
    table = np.where(weights > 0, table, 0.0)
    good = np.isfinite(table).all(0) & (weights.sum(0) > 0)
    table, weights = table[:, good], weights[:, good]
    num_seeds, num_clips = table.shape
    if num_clips == 0 or (weights.sum(1) == 0).any():
        nothing = float("nan")
        return Summary(nothing, nothing, nothing, nothing, 0)
    of_clips = np.average(table, axis=0, weights=weights)
    low, high = bootstrap_interval(of_clips, weights.sum(0), seed=seed, num_resamples=num_resamples)
    of_seeds = np.average(table, axis=1, weights=weights)
    deviation = float(of_seeds.std(ddof=1)) if num_seeds > 1 else float("nan")
    return Summary(float(of_seeds.mean()), low, high, deviation, num_clips)
