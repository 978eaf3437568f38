"""Spread of takes against a loop over pairs."""

from itertools import combinations

import numpy as np
import pytest
import torch

from stages.metrics.diversity import sample_diversity


def test_equals_the_mean_over_all_pairs() -> None:
    takes = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 6, 5, 3)).astype("f4"))
    pairs = [np.linalg.norm(a - b, axis=-1).mean() for a, b in combinations(takes.numpy(), 2)]
    assert sample_diversity(takes).item() == pytest.approx(np.mean(pairs), rel=1e-5)


def test_equal_takes_have_none_and_two_takes_their_distance() -> None:
    take = torch.zeros(3, 2, 3)
    assert sample_diversity(torch.stack([take, take, take])).item() == 0
    assert sample_diversity(torch.stack([take, take + torch.tensor([3.0, 4.0, 0.0])])).item() == pytest.approx(5)


def test_one_take_has_no_diversity_to_speak_of() -> None:
    assert torch.isnan(sample_diversity(torch.zeros(1, 3, 2, 3)))
