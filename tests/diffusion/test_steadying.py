"""Tremor goes, turns stay, and nothing moves in time."""

import math

import pytest
import torch

from stages.diffusion.steadying import FollowingLowPass, low_pass


def wave(hz: float, fps: float = 50.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(400) / fps)[None, :, None]


@pytest.mark.parametrize("fps", [25.0, 50.0, 60.0])
def test_three_decibels_are_lost_at_the_cutoff(fps: float) -> None:
    middle = slice(100, 300)
    for hz, kept in ((0.25, 0.995), (2.0, 2**-0.5), (8.0, 0.004)):
        before, after = wave(hz, fps)[:, middle], low_pass(wave(hz, fps), fps, 2.0)[:, middle]
        assert (after.norm() / before.norm()).item() == pytest.approx(kept, abs=0.01)
    # In phase: what is left is a multiple of what was there.
    torch.testing.assert_close(
        low_pass(wave(1.0, fps), fps, 2.0)[:, middle] / 2 ** (-1 / 8), wave(1.0, fps)[:, middle], atol=0.02, rtol=0
    )


def test_a_still_head_stays_and_channels_do_not_mix() -> None:
    still = torch.tensor([0.3, -0.2, 0.0]).expand(2, 30, 3)
    torch.testing.assert_close(low_pass(still, 25.0, 2.0), still)
    alone = torch.zeros(1, 30, 2)
    alone[0, 15, 0] = 1.0
    smoothed = low_pass(alone, 25.0, 2.0)
    assert smoothed[..., 1].abs().max() == 0
    assert smoothed[..., 0].sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("size", [1, 3, 200])
def test_a_signal_that_is_still_coming_is_smoothed_as_the_whole_a_little_late(size: int) -> None:
    signal = torch.randn(1, 120, 2, generator=torch.Generator().manual_seed(0)).cumsum(1)
    following = FollowingLowPass(25.0, 2.0)
    assert following.delay == 4
    found = torch.cat([following(piece) for piece in signal[0].split(size)])
    whole = low_pass(signal, 25.0, 2.0)[0]
    torch.testing.assert_close(found[4:], whole[:-4], atol=0.05, rtol=0)
    torch.testing.assert_close(found[0], signal[0, 0])
