"""Log-mel spectrograms with parts hidden and smeared, so that a recogniser reads what a face leaves of speech.

Source: Park et al., "SpecAugment", Interspeech 2019, for the hiding. The smearing is our choice: a model that infers speech
from a face draws the mean of all it deems possible, which is smooth in time and over bands.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_HIDDEN_BANDS = 10
_HIDDEN_FRAMES = 10
_MEL_FRAMES_A_HIDING = 100
# Largest standard deviations, in mel frames and bands; half of the clips are smeared.
_SMEAR_FRAMES = 3.0
_SMEAR_BANDS = 2.0
_REACH = 6


def hide_parts(log_mel: Tensor, generator: torch.Generator) -> Tensor:
    """Replaces by the clip's mean two runs of up to 10 bands, and a run of up to 100 ms for every second of (B, L, 80)."""
    batch, length, num_bands = log_mel.shape
    bands = _runs(num_bands, 2, _HIDDEN_BANDS, batch, generator)
    frames = _runs(length, -(-length // _MEL_FRAMES_A_HIDING), _HIDDEN_FRAMES, batch, generator)
    hidden = (bands[:, None] | frames[:, :, None]).to(log_mel.device)
    return torch.where(hidden, log_mel.mean((1, 2), keepdim=True), log_mel)


def _runs(size: int, number: int, longest: int, batch: int, generator: torch.Generator) -> Tensor:
    """(B, size) booleans: `number` runs of random place and of 0 to `longest`."""
    length = torch.rand(batch, number, 1, generator=generator) * (longest + 1)
    start = torch.rand(batch, number, 1, generator=generator) * size - length / 2
    place = torch.arange(size)
    return ((place >= start) & (place < start + length.floor())).any(1)


def smear(log_mel: Tensor, generator: torch.Generator) -> Tensor:
    """Blurs half of the clips of (B, L, 80) in time, by up to 30 ms, and over up to two bands."""
    smeared = torch.rand(len(log_mel), generator=generator) < 0.5
    time = torch.rand(len(log_mel), generator=generator) * _SMEAR_FRAMES * smeared
    bands = torch.rand(len(log_mel), generator=generator) * _SMEAR_BANDS * smeared
    log_mel = _blur(log_mel.permute(2, 0, 1), time.to(log_mel.device)).permute(1, 2, 0)
    return _blur(log_mel.permute(1, 0, 2), bands.to(log_mel.device)).permute(1, 0, 2)


def _blur(signal: Tensor, deviation: Tensor) -> Tensor:
    """Gaussian blur along the last axis of (m, B, n), of its own standard deviation (B,) for every item."""
    offsets = torch.arange(-_REACH, _REACH + 1, device=signal.device)
    kernel = torch.exp(-0.5 * (offsets / deviation.clamp_min(1e-3)[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = F.pad(signal, (_REACH, _REACH), mode="replicate")
    return F.conv1d(padded, kernel[:, None], groups=len(kernel))
