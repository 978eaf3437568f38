"""Losses on speech: hand-worked values, masks, zero at equality."""

import math

import pytest
import torch

from stages.losses.speech import mel_l1, spectral_convergence, unit_accuracy, unit_cross_entropy


def test_cross_entropy_with_smoothed_labels() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0]]])  # probabilities 1/2 1/2 and 3/4 1/4
    units = torch.tensor([[0, 0]])
    first = math.log(2)
    second = -0.95 * math.log(0.75) - 0.05 * math.log(0.25)
    assert unit_cross_entropy(logits, units).tolist() == pytest.approx([(first + second) / 2])
    assert unit_cross_entropy(logits, units, torch.tensor([[0.0, 1.0]])).tolist() == pytest.approx([second])


def test_mel_and_convergence_by_hand() -> None:
    truth = torch.zeros(2, 2, 80)
    truth[:, 0] = 1
    assert mel_l1(truth, truth).tolist() == [0, 0]
    assert spectral_convergence(truth, truth).tolist() == [0, 0]
    estimate = truth.clone()
    estimate[1, 1] = 3
    assert mel_l1(estimate, truth).tolist() == [0, 1.5]
    assert mel_l1(estimate, truth, torch.tensor([[1.0, 1], [1, 0]])).tolist() == [0, 0]
    assert spectral_convergence(estimate, truth).tolist() == pytest.approx([0, 3])
    assert torch.isfinite(spectral_convergence(estimate, truth * 0)).all()


def test_accuracy_counts_real_frames() -> None:
    logits = torch.eye(3)[None]  # likeliest: 0, 1, 2
    units = torch.tensor([[0, 1, 0]])
    assert unit_accuracy(logits, units).tolist() == pytest.approx([2 / 3])
    assert unit_accuracy(logits, units, torch.tensor([[1.0, 1, 0]])).tolist() == [1]
    assert unit_accuracy(logits, units, torch.zeros(1, 3)).tolist() == [0]
