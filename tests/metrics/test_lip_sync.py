"""Correlation and concordance of lip motion against textbook formulas, loops and invariants."""

import numpy as np
import pytest
import torch

from stages.metrics.lip_sync import lip_concordance, lip_correlation


def _one_channel(values: np.ndarray) -> torch.Tensor:
    """A lip of one vertex that moves along y only."""
    lips = torch.zeros(len(values), 1, 3)
    lips[:, 0, 1] = torch.from_numpy(values)
    return lips


def _random_lips(seed: int, num_frames: int = 40, num_vertices: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.01, (num_frames, num_vertices, 3)).astype("f4"))


def test_one_channel_is_the_textbook_correlation_and_concordance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    y = 0.5 * x + rng.normal(size=50) + 0.3
    assert lip_correlation(_one_channel(x), _one_channel(y)).item() == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-5)
    lin = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert lip_concordance(_one_channel(x), _one_channel(y)).item() == pytest.approx(lin, abs=1e-5)


def test_many_channels_equal_a_naive_loop() -> None:
    lips, truth = _random_lips(0), _random_lips(1) + _random_lips(0)
    covariance = variance = true_variance = offset = 0.0
    for v in range(5):
        for c in range(3):
            x, y = lips[:, v, c].double().numpy(), truth[:, v, c].double().numpy()
            covariance += float(((x - x.mean()) * (y - y.mean())).mean())
            variance, true_variance = variance + x.var(), true_variance + y.var()
            offset += (x.mean() - y.mean()) ** 2
    assert lip_correlation(lips, truth).item() == pytest.approx(
        covariance / np.sqrt(variance * true_variance), abs=1e-6
    )
    expected = 2 * covariance / (variance + true_variance + offset)
    assert lip_concordance(lips, truth).item() == pytest.approx(expected, abs=1e-6)


def test_equal_motion_gives_one_and_mirrored_motion_minus_one() -> None:
    lips = _random_lips(0)
    mirrored = 2 * lips.mean(0) - lips
    for formula in (lip_correlation, lip_concordance):
        assert formula(lips, lips).item() == pytest.approx(1)
        assert formula(mirrored, lips).item() == pytest.approx(-1)


def test_amplitude_and_offset_lower_concordance_but_not_correlation() -> None:
    truth = _random_lips(0)
    small = truth.mean(0) + 0.5 * (truth - truth.mean(0))
    assert lip_correlation(small, truth).item() == pytest.approx(1)
    assert lip_concordance(small, truth).item() == pytest.approx(2 * 0.5 / (0.25 + 1), abs=1e-5)
    assert lip_correlation(truth + 0.02, truth).item() == pytest.approx(1, abs=1e-5)
    assert lip_concordance(truth + 0.02, truth).item() < 0.5


def test_turning_both_faces_changes_nothing() -> None:
    lips, truth = _random_lips(0), _random_lips(0) + _random_lips(1)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    for formula in (lip_correlation, lip_concordance):
        assert formula(lips @ rotation, truth @ rotation).item() == pytest.approx(formula(lips, truth).item(), abs=1e-5)


def test_a_face_that_does_not_move_has_no_correlation_and_no_concordance_with_a_moving_one() -> None:
    truth = _random_lips(0)
    still = truth[:1].expand_as(truth)
    rounding = still + 1e-9 * torch.randn(still.shape, generator=torch.Generator().manual_seed(0))
    for face in (still, rounding):
        assert torch.isnan(lip_correlation(face, truth))
        assert torch.isnan(lip_correlation(truth, face))
        assert lip_concordance(face, truth).item() == pytest.approx(0, abs=1e-3)
        assert torch.isnan(lip_concordance(face, face))
