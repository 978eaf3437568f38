"""Log-mel of speech that is still being said: bounded memory, and a loudness that is found out on the way."""

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.log_mel import HOP_SAMPLES, NUM_BANDS, WINDOW_SAMPLES, cut_mel, log_mel

# What loudness normalisation brings the loud parts of speech to: `loudness_gain`.
TARGET_DBFS = -20.0
# The choice is ours. Speech is taken to be this loud until it has been heard for SETTLING_S; room noise is quieter than
# SILENCE_DBFS; and nothing is amplified as if it were speech quieter than FAINTEST_DBFS, or a quiet room would chatter.
ASSUMED_DBFS = -22.0
SETTLING_S = 2.0
SILENCE_DBFS = -60.0
FAINTEST_DBFS = -45.0
MEMORY_S = 60.0
_FRAME_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ


class RunningLoudness:
    """The level of the loud parts of a sound so far: the 95th percentile of the level of its 40 ms frames.

    `loudness_gain` takes the percentile over a whole recording. Here it is that of the last minute that was no silence, and
    at first a guess, which gives way in proportion as two seconds of sound are heard.
    """

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=round(MEMORY_S / _FRAME_S))
        self._rest = np.zeros(0, np.float32)

    def hear(self, waveform: NDArray[np.float32]) -> None:
        """Takes the next samples (n,) in -1..1."""
        waveform = np.concatenate([self._rest, waveform])
        num_frames = len(waveform) // WINDOW_SAMPLES
        frames = waveform[: num_frames * WINDOW_SAMPLES].reshape(num_frames, WINDOW_SAMPLES)
        levels = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
        self._levels.extend(levels[levels > SILENCE_DBFS].tolist())
        self._rest = waveform[num_frames * WINDOW_SAMPLES :]

    @property
    def dbfs(self) -> float:
        """The level at present, dB of full scale."""
        if not self._levels:
            return ASSUMED_DBFS
        heard = max(float(np.quantile(np.array(self._levels), 0.95)), FAINTEST_DBFS)
        trust = min(1.0, len(self._levels) * _FRAME_S / SETTLING_S)
        return trust * heard + (1 - trust) * ASSUMED_DBFS


class LiveMel:
    """The log-mel of a sound so far, brought to the common loudness; what is not yet heard is silence.

    Args:
        loudness_dbfs: level of the loud parts of the speech, where it is known; otherwise it is estimated as sound comes,
            and what was heard before keeps the gain that it had then.
    """

    def __init__(self, loudness_dbfs: float | None = None, device: torch.device | str = "cpu") -> None:
        self._running = RunningLoudness() if loudness_dbfs is None else None
        self._dbfs = ASSUMED_DBFS if loudness_dbfs is None else loudness_dbfs
        self.device = torch.device(device)
        self._mel = torch.zeros(0, NUM_BANDS, device=device)
        self._first = 0  # mel frame that `_mel` starts with
        self._samples = np.zeros(0, np.float32)
        self._start = 0  # sample that `_samples` starts with, on the grid of hops
        self.num_samples = 0

    @property
    def num_frames(self) -> int:
        """Mel frames so far."""
        return self._first + len(self._mel)

    def hear(self, waveform: NDArray[np.float32]) -> None:
        """Takes the next samples (n,) in -1..1, 16 kHz; every mel frame all of whose samples have come is there then."""
        if self._running is not None:
            self._running.hear(waveform)
            self._dbfs = self._running.dbfs
        self._samples = np.concatenate([self._samples, waveform])
        self.num_samples += len(waveform)
        self._grow(max(self.num_frames, (self.num_samples - WINDOW_SAMPLES // 2) // HOP_SAMPLES + 1))

    def end(self) -> None:
        """Nothing more comes: the last frames, which reach beyond the end, hear silence there."""
        self._grow(self.num_samples // HOP_SAMPLES)

    def cut(self, start: int, length: int) -> Tensor:
        """Mel frames (length, 80) from frame `start` on, silence where there is no sound yet or none before.

        Frames before `start` are forgotten: none of them may be asked for again.
        """
        forgotten = min(max(start - self._first, 0), len(self._mel))
        self._mel, self._first = self._mel[forgotten:], self._first + forgotten
        return cut_mel(self._mel, start - self._first, length)

    def _grow(self, num_frames: int) -> None:
        if num_frames <= self.num_frames:
            return
        # As in `long_log_mel`: one more hop on either side than a frame reaches, so that the grid of hops is kept.
        reach = WINDOW_SAMPLES // 2
        begin = max(0, self.num_frames * HOP_SAMPLES - 2 * reach)
        piece = self._samples[begin - self._start : (num_frames - 1) * HOP_SAMPLES + 2 * reach - self._start]
        gain = 10 ** ((TARGET_DBFS - self._dbfs) / 20)
        heard = torch.from_numpy(np.pad(piece, (0, HOP_SAMPLES)) * np.float32(gain)).to(self.device)
        skip = self.num_frames - begin // HOP_SAMPLES
        self._mel = torch.cat([self._mel, log_mel(heard)[skip : skip + num_frames - self.num_frames]])
        keep = max(0, num_frames * HOP_SAMPLES - 2 * reach)
        self._samples, self._start = self._samples[keep - self._start :], keep
