"""Geometric losses on motions small enough to work out by hand."""

import pytest
import torch

from stages.losses.geometry import closure, lip_gap, mean_square, smoothness, velocity


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float)[None, :, None]


def ones(num_frames: int) -> torch.Tensor:
    return torch.ones(1, num_frames)


def test_mean_square_is_over_real_frames_and_all_that_a_frame_holds() -> None:
    error = column(1, 2, 9)
    assert mean_square(error, ones(3)).tolist() == pytest.approx([86 / 3])
    assert mean_square(error, torch.tensor([[1.0, 1, 0]])).tolist() == [2.5]
    assert mean_square(error, torch.zeros(1, 3)).tolist() == [0]
    vertices = torch.zeros(1, 2, 4, 3)
    vertices[0, 0, 0, 0] = 6.0
    assert mean_square(vertices, ones(2)).tolist() == [36 / 24]


def test_velocity_sees_steps_and_not_offsets() -> None:
    truth = column(0, 1, 2, 3)
    assert velocity(truth + 5, truth, ones(4)).tolist() == [0]
    # Steps of the error are 0, 2, -2 here.
    assert velocity(column(0, 1, 4, 3), truth, ones(4)).tolist() == pytest.approx([8 / 3])
    # A step counts where both its frames are real.
    assert velocity(column(0, 1, 4, 3), truth, torch.tensor([[1.0, 1, 1, 0]])).tolist() == [2]


def test_smoothness_sees_bends_and_not_steady_motion() -> None:
    assert smoothness(column(0, 3, 6, 9), ones(4)).tolist() == [0]
    assert smoothness(column(0, 0, 1, 1), ones(4)).tolist() == [1]
    assert smoothness(column(0, 0, 1, 5), torch.tensor([[1.0, 1, 1, 0]])).tolist() == [1]
    assert smoothness(column(9, 0, 0, 1), torch.tensor([[0.0, 1, 1, 1]])).tolist() == [1]


def test_one_value_an_item() -> None:
    estimate, truth, mask = torch.randn(3, 6, 2), torch.randn(3, 6, 2), torch.ones(3, 6)
    for whole, of in [
        (mean_square(estimate - truth, mask), lambda i: mean_square((estimate - truth)[i : i + 1], mask[i : i + 1])),
        (velocity(estimate, truth, mask), lambda i: velocity(estimate[i : i + 1], truth[i : i + 1], mask[i : i + 1])),
        (smoothness(estimate, mask), lambda i: smoothness(estimate[i : i + 1], mask[i : i + 1])),
    ]:
        assert whole.shape == (3,)
        torch.testing.assert_close(whole, torch.cat([of(i) for i in range(3)]))


def test_lip_gap_is_a_distance_with_a_gradient_at_contact() -> None:
    top = torch.tensor([[[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]], requires_grad=True)
    gap = lip_gap(top, torch.zeros(1, 2, 3))
    assert gap[0].tolist() == pytest.approx([5.0, 0.0], abs=2e-5)
    gap.sum().backward()
    assert top.grad is not None
    assert torch.isfinite(top.grad).all()


def test_closure_is_five_times_as_strict_where_the_lips_touch() -> None:
    missed_closure = closure(torch.tensor([[0.1]]), torch.tensor([[0.0]]), 0.5, ones(1))
    same_error_in_a_vowel = closure(torch.tensor([[100.1]]), torch.tensor([[100.0]]), 0.5, ones(1))
    assert missed_closure.tolist() == pytest.approx([5 * 0.2**2])
    assert same_error_in_a_vowel.tolist() == pytest.approx([0.2**2], rel=1e-3)
    assert closure(torch.ones(1, 3), torch.ones(1, 3), 0.5, ones(3)).tolist() == [0]
