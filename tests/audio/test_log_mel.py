"""Log-mel against numpy's own Fourier transform, its clock, and the cuts that windows are made of."""

import math

import numpy as np
import pytest
import torch

from stages.audio.log_mel import (
    LOG_FLOOR,
    cut_mel,
    log_mel,
    long_log_mel,
    loudness_gain,
    mel_around,
    mel_filters,
)


def noise(num_samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def naive_log_mel(waveform: np.ndarray) -> np.ndarray:
    """Frame by frame, filter by filter, by the formulas."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 82) / 2595) - 1)
    bins = np.linspace(0, 8000, 321)
    padded = np.pad(waveform, 320)
    rows = []
    for frame in range(len(waveform) // 160):
        amplitude = np.abs(np.fft.rfft(padded[frame * 160 : frame * 160 + 640] * window))
        row = []
        for left, centre, right in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
            triangle = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(0)
            row.append((triangle * amplitude).sum())
        rows.append(row)
    return np.log(np.maximum(rows, 1e-5))


def test_equals_the_formulas() -> None:
    waveform = noise(4000)
    expected = naive_log_mel(waveform.double().numpy())
    assert expected.shape == (25, 80)
    torch.testing.assert_close(log_mel(waveform).double(), torch.from_numpy(expected), atol=2e-3, rtol=0)


@pytest.mark.parametrize("time_s", [0.5, 0.25, 1.37])
def test_a_click_is_loudest_at_its_own_frame(time_s: float) -> None:
    waveform = torch.zeros(2 * 16000)
    waveform[round(time_s * 16000)] = 1
    assert int(log_mel(waveform).sum(-1).argmax()) == round(time_s * 100)


def test_silence_is_the_floor_and_a_tone_fills_its_band() -> None:
    assert log_mel(torch.zeros(1600)).numpy() == pytest.approx(LOG_FLOOR)
    assert math.exp(LOG_FLOOR) == pytest.approx(1e-5)
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    centres = (mel_filters() * torch.linspace(0, 8000, 321)[:, None]).sum(0) / mel_filters().sum(0)
    assert abs(centres[int(log_mel(tone)[50].argmax())] - 1000) < 50


def test_batches_and_leading_axes_are_kept() -> None:
    waveform = noise(3200).reshape(2, 1, 1600)
    found = log_mel(waveform)
    assert found.shape == (2, 1, 10, 80)
    torch.testing.assert_close(found[1, 0], log_mel(waveform[1, 0]))


@pytest.mark.parametrize("num_frames", [0, 1, 3, 3000, 3001, 6007])
def test_long_recordings_in_pieces_equal_the_whole(num_frames: int) -> None:
    waveform = noise(num_frames * 160 + 77)
    whole = log_mel(waveform) if num_frames else torch.zeros(0, 80)
    torch.testing.assert_close(long_log_mel(waveform), whole, atol=1e-3, rtol=0)


def test_gain_brings_loud_parts_to_the_level_whatever_the_volume() -> None:
    speech = noise(32000)
    speech[:8000] = 0  # a pause is not a part of the level
    for volume in (0.03, 1.0, 7.0):
        gain = loudness_gain(speech * volume)
        level = (speech * volume * gain)[8320:].reshape(-1, 640).square().mean(-1).sqrt().quantile(0.95)
        assert float(level) == pytest.approx(0.1, rel=0.05)
    assert float(loudness_gain(torch.zeros(1000))) == 100.0
    assert float(loudness_gain(torch.full((10,), 0.2))) == pytest.approx(0.5)


def test_a_cut_beyond_the_ends_is_silence() -> None:
    mel = torch.arange(6.0)[:, None].expand(6, 80)
    silence = LOG_FLOOR
    for start, length, expected in [
        (1, 3, [1, 2, 3]),
        (-2, 4, [silence, silence, 0, 1]),
        (4, 4, [4, 5, silence, silence]),
        (-1, 8, [silence, 0, 1, 2, 3, 4, 5, silence]),
        (-9, 3, [silence] * 3),
        (20, 2, [silence] * 2),
    ]:
        found = cut_mel(mel, start, length)
        assert found.shape == (length, 80)
        assert found[:, 5].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("fps", [25.0, 30.0, 29.97, 60.0])
def test_the_stretch_around_motion_holds_it_with_its_margin(fps: float) -> None:
    mel = torch.arange(1000.0)[:, None].expand(1000, 80) / 100  # every frame tells its own time
    lengths = set()
    for first_frame in (-10, -1, 0, 1, 2, 3, 4, 5, 33, 100):
        wide, first_s = mel_around(mel, first_frame, 40, fps, margin=6)
        lengths.add(len(wide))
        assert len(wide) % 2 == 0
        # Where the stretch starts is told by any of its frames that lie inside the recording.
        row = len(wide) // 2
        start_s = float(wide[row, 0]) - row / 100
        assert start_s + first_s == pytest.approx(first_frame / fps, abs=1e-4)
        assert round(start_s * 100) % 2 == 0
        assert 0.06 <= first_s < 0.08 + 1e-9
        # The feature after the last frame is there too, with all that an encoder sees around it.
        after = math.ceil((first_s + 39 / fps) * 50 - 1e-6)
        assert 2 * after + 6 <= len(wide) - 1
    assert len(lengths) == 1
