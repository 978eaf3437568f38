"""Distances of mels and units of one clip, by hand."""

import math

import pytest
import torch

from stages.audio.log_mel import LOG_FLOOR
from stages.metrics.reconstruction import MelScale, mel_figures, sounding, unit_figures


def test_mel_figures_by_hand() -> None:
    scale = MelScale(torch.full((80,), -5.0), torch.full((80,), 2.0))
    truth = torch.full((4, 80), -5.0)
    truth[0] = -3.0
    estimate = truth + 1.0
    found = mel_figures(estimate, truth, scale)
    assert found["mel"] == pytest.approx(0.5)
    assert found["mel-db"] == pytest.approx(20 * math.log10(math.e))
    assert found["convergence"] == pytest.approx(1.0)  # 0.5 sd in 320 values over 1 sd in 80
    assert mel_figures(truth, truth, scale) == {"mel": 0, "mel-db": 0, "convergence": 0}
    assert mel_figures(scale.mean.expand(4, 80), truth, scale)["convergence"] == pytest.approx(1)
    torch.testing.assert_close(scale.restore(scale.normalise(truth)), truth)


def test_the_scale_is_that_of_the_bands_and_never_tiny() -> None:
    mel = torch.randn(5000, 80) * torch.linspace(0.01, 3, 80) + torch.arange(80)
    scale = MelScale.of(mel)
    torch.testing.assert_close(scale.mean, torch.arange(80).float(), atol=0.2, rtol=0)
    assert scale.deviation[0] == pytest.approx(0.1)
    assert scale.deviation[-1] == pytest.approx(3, rel=0.1)


def test_silence_is_far_below_the_loud_frames() -> None:
    mel = torch.full((12, 80), LOG_FLOOR)
    mel[4:8] = 0.0
    mel[9] = -2.0  # 17 dB below, in one of a pair of frames
    mel[10] = -5.0  # 43 dB below
    assert sounding(mel).tolist() == [False, False, True, True, True, False]


def test_units_right_with_and_without_silence() -> None:
    found = unit_figures(
        torch.tensor([1, 2, 3, 4]), torch.tensor([1, 0, 3, 0]), torch.tensor([True, True, False, True])
    )
    assert found == {"units": 0.5, "units-sounding": pytest.approx(1 / 3)}
    assert math.isnan(unit_figures(torch.ones(2), torch.ones(2), torch.zeros(2).bool())["units-sounding"])
