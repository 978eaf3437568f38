"""Weighted means and bootstrap intervals."""

import numpy as np
import pytest

from stages.metrics.statistics import bootstrap_interval, over_seeds, weighted_mean


def test_weighted_mean_pools_frames() -> None:
    assert weighted_mean([1.0, 4.0]) == pytest.approx(2.5)
    assert weighted_mean([1.0, 4.0], [30, 10]) == pytest.approx((30 * 1 + 10 * 4) / 40)


def test_interval_of_two_clips_worked_by_hand() -> None:
    # Means of two draws from {0, 1} are 0, 0.5, 1 with probabilities 1/4, 1/2, 1/4.
    assert bootstrap_interval([0.0, 1.0], num_resamples=2000) == (0.0, 1.0)
    assert bootstrap_interval([0.0, 1.0], num_resamples=2000, confidence=0.4) == (0.5, 0.5)


def test_weights_go_with_their_clips() -> None:
    # With (nearly) all weight on one clip, only draws without it leave its value: (2/3)^3 of them, 30 %.
    values, weights = [1.0, 0.0, 0.0], [1e9, 1.0, 1.0]
    assert bootstrap_interval(values, weights, confidence=0.2) == (pytest.approx(1), pytest.approx(1))
    low, high = bootstrap_interval(values, weights, confidence=0.9)
    assert low == pytest.approx(0)
    assert high == pytest.approx(1)


def test_large_samples_drawn_in_blocks_agree_with_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    error = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    low, high = bootstrap_interval(values)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.02)


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        low, high = bootstrap_interval(rng.normal(size=30), seed=trial, num_resamples=400)
        hits += low <= 0 <= high
    assert 0.89 <= hits / 300 <= 0.98


def test_same_seed_same_interval_and_one_clip_has_none() -> None:
    values = [1.0, 2.0, 5.0, 3.0]
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert np.isnan(bootstrap_interval([1.0])).all()


def test_over_seeds_by_hand() -> None:
    found = over_seeds([[1.0, 3.0], [3.0, 5.0]])
    assert (found.mean, found.num_clips) == (3.0, 2)
    assert found.deviation == pytest.approx(2**0.5)  # of the means 2 and 4
    assert 2 <= found.low <= 3 <= found.high <= 4  # of the clips' means 2 and 4
    weighted = over_seeds([[1.0, 4.0]], [[3.0, 1.0]])
    assert weighted.mean == 1.75
    assert np.isnan(weighted.deviation)


def test_over_seeds_leaves_out_what_is_not_finite_or_weighs_nothing() -> None:
    found = over_seeds([[1.0, np.nan, 5.0], [1.0, 2.0, 5.0]], [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert (found.mean, found.num_clips) == (1.0, 1)
    assert np.isnan(found.low)
    assert over_seeds([[np.nan]]).num_clips == 0


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.normal(size=60)
    better, worse = hardness + 0.1 * rng.normal(size=(3, 60)), hardness + 1 + 0.1 * rng.normal(size=(3, 60))
    difference = over_seeds(worse - better)
    assert difference.low < 1 < difference.high
    assert difference.high - difference.low < 0.3 * (over_seeds(worse).high - over_seeds(worse).low)
