"""Correlation, concordance, warping distance and closures of lips against textbook formulas, loops and invariants."""

import numpy as np
import pytest
import torch

from stages.metrics.lip_sync import (
    closure_rate,
    closures_within,
    lip_concordance,
    lip_correlation,
    lip_warping_distance,
)


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


def test_warping_forgives_a_delay_of_up_to_a_fifth_of_a_second() -> None:
    step = np.r_[np.zeros(10), np.ones(10)]
    early, late = (_one_channel(np.roll(step, -shift)[:14].copy()) for shift in (5, 0))
    fps = 25.0  # 5 frames
    assert lip_warping_distance(early, late, fps).item() == 0
    # At 20 fps the band is 4 frames: one frame of each must be set against one of the other, in a diagonal step of weight 2.
    assert lip_warping_distance(early, late, 20.0).item() == pytest.approx(2 / (2 * 14))
    assert lip_warping_distance(late, early, 20.0).item() == pytest.approx(2 / (2 * 14))


def test_warping_by_hand() -> None:
    true = _one_channel(np.array([0.0, 2.0, 3.0]))
    # |x_i - y_j|: 0 2 3 / 1 1 2 / 3 1 0. Down the diagonal, where the middle costs twice its 1.
    assert lip_warping_distance(_one_channel(np.array([0.0, 1.0, 3.0])), true, 5.0).item() == pytest.approx(2 / 6)
    # 0 2 3 / 0 2 3 / 3 1 0. (1, 0) costs nothing; from there diagonally to (2, 1), twice 1, or straight to (1, 1), 2.
    assert lip_warping_distance(_one_channel(np.array([0.0, 0.0, 3.0])), true, 5.0).item() == pytest.approx(2 / 6)
    # 0 3 3 / 0 3 3 / 3 0 0: each frame finds its like.
    turned = _one_channel(np.array([0.0, 3.0, 3.0]))
    assert lip_warping_distance(_one_channel(np.array([0.0, 0.0, 3.0])), turned, 5.0).item() == 0


def test_warping_of_an_offset_is_the_offset_and_never_more_than_without() -> None:
    lips, truth = _random_lips(0), _random_lips(1)
    assert lip_warping_distance(truth + torch.tensor([0.003, 0.0, 0.004]), truth, 25.0).item() <= 0.005 + 1e-7
    still = truth[:1].expand_as(truth)
    assert lip_warping_distance(still + torch.tensor([0.003, 0.0, 0.004]), still, 25.0).item() == pytest.approx(0.005)
    plain = torch.linalg.vector_norm(lips - truth, dim=-1).mean().item()
    assert 0 < lip_warping_distance(lips, truth, 25.0).item() < plain
    assert lip_warping_distance(lips, truth, 0.0).item() == pytest.approx(plain)  # a band of no width
    both = lip_warping_distance(torch.stack([lips, truth]), truth, 25.0)
    assert both.tolist() == pytest.approx([lip_warping_distance(lips, truth, 25.0).item(), 0])
    assert lip_warping_distance(lips[:1], truth[:1], 25.0).item() == pytest.approx(
        torch.linalg.vector_norm(lips[0] - truth[0], dim=-1).mean().item()
    )


def test_closures_are_gaps_that_are_small_for_this_face_near_the_phone() -> None:
    gap = torch.full((2, 50), 0.01)
    gap[0, 10], gap[0, 20] = 0.0014, 0.0016  # of 10 mm: 14 % is closed, 16 % is not
    gap[1] = 0.1 * gap[0]
    at = [(0.36, 0.42), (0.80, 0.84)]
    assert closure_rate(gap, at, 25.0).tolist() == [0.5, 0.5]
    assert closure_rate(gap, [(0.44, 0.5)], 25.0).tolist() == [1, 1]  # 40 ms after frame 10, which stands at 0.40 s
    assert closure_rate(gap, [(0.45, 0.5)], 25.0).tolist() == [0, 0]
    assert closure_rate(gap, [*at, (2.1, 2.2)], 25.0).tolist() == [0.5, 0.5]
    assert torch.isnan(closure_rate(gap, [(2.1, 2.2)], 25.0)).all()
    assert closures_within([*at, (2.1, 2.2), (1.99, 2.5)], 25.0, 50) == ((0.36, 0.42), (0.8, 0.84), (1.99, 2.5))
