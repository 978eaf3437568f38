"""The log-mel of speech that is still being said: that of the whole in the end, whatever came together."""

import numpy as np
import pytest
import torch

from stages.audio.live_mel import ASSUMED_DBFS, FAINTEST_DBFS, LiveMel, RunningLoudness
from stages.audio.log_mel import LOG_FLOOR, cut_mel, log_mel, loudness_gain
from stages.audio.waveform import to_float
from tests.builders import small_waveform


def level(dbfs: float, seconds: float) -> np.ndarray:
    """A sound of constant level: a square wave's root mean square is its amplitude."""
    samples = np.ones(round(16_000 * seconds), np.float32)
    samples[::2] = -1
    return samples * np.float32(10 ** (dbfs / 20))


@pytest.mark.parametrize("num_samples", [100, 16_000, 16_159])
@pytest.mark.parametrize("size", [1000, 333, 100_000])
def test_in_the_end_it_is_the_mel_of_the_whole(num_samples: int, size: int) -> None:
    waveform = to_float(small_waveform(num_samples))
    gain = float(loudness_gain(torch.from_numpy(waveform)))
    mel = LiveMel(-20 - 20 * np.log10(gain))
    for start in range(0, num_samples, size):
        mel.hear(waveform[start : start + size])
    mel.end()
    whole = log_mel(torch.from_numpy(waveform * np.float32(gain)))
    assert mel.num_frames == num_samples // 160
    torch.testing.assert_close(mel.cut(0, 110), cut_mel(whole, 0, 110), atol=1e-3, rtol=0)


def test_a_frame_is_there_when_its_last_sample_has_come_and_silence_before() -> None:
    waveform = to_float(small_waveform(16_000))
    mel = LiveMel(-20.0)
    mel.hear(waveform[: 50 * 160 + 319])
    assert mel.num_frames == 50
    mel.hear(waveform[50 * 160 + 319 :][:1])
    assert mel.num_frames == 51
    assert (mel.cut(50, 1) > LOG_FLOOR).any()
    assert (mel.cut(51, 20) == LOG_FLOOR).all()


def test_what_has_passed_is_forgotten_and_what_comes_is_in_place() -> None:
    waveform = to_float(small_waveform(160_000))
    whole = log_mel(torch.from_numpy(waveform))
    mel = LiveMel(-20.0)
    for start in range(0, 160_000, 1600):
        mel.hear(waveform[start : start + 1600])
        first = max(0, mel.num_frames - 30)
        length = mel.num_frames - first
        torch.testing.assert_close(mel.cut(first, length), whole[first : first + length], atol=1e-3, rtol=0)
    held = [value for value in vars(mel).values() if isinstance(value, np.ndarray | torch.Tensor)]
    assert sum(value.size if isinstance(value, np.ndarray) else value.numel() for value in held) < 10_000


def test_loudness_is_a_guess_that_gives_way_to_what_is_heard() -> None:
    running = RunningLoudness()
    assert running.dbfs == ASSUMED_DBFS
    running.hear(level(-90, 10.0))  # silence says nothing
    assert running.dbfs == ASSUMED_DBFS
    running.hear(level(-32, 1.0))  # half of what it takes
    assert running.dbfs == pytest.approx((ASSUMED_DBFS - 32) / 2, abs=0.01)
    for _ in range(100):
        running.hear(level(-32, 0.0112))  # in pieces that are no whole frames
    assert running.dbfs == pytest.approx(-32, abs=0.01)
    running.hear(level(-12, 0.5))  # a tenth of the frames is enough to be loud
    assert running.dbfs == pytest.approx(-12, abs=0.01)
    running.hear(level(-50, 100.0))  # and a minute ends it; but a quiet room is no faint voice
    assert running.dbfs == FAINTEST_DBFS
