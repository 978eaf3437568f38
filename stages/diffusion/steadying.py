"""A steady neck: heads turn and nod below a few hertz, and what a sampler leaves above is tremor. And curves in range."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.heads.arkit import ARKIT_CURVES
from stages.heads.head import rotation_features


def low_pass(signal: Tensor, fps: float, cutoff_hz: float) -> Tensor:
    """Smooths along time by a Gaussian, without shifting anything.

    Args:
        signal: (N, T, C).
        fps: of the signal.
        cutoff_hz: where 3 dB are lost.

    Returns:
        (N, T, C); beyond its ends the signal is taken to stay as it is there.
    """
    sigma = _sigma(fps, cutoff_hz)
    reach = math.ceil(4 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=signal.device, dtype=signal.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    columns = F.pad(signal.transpose(1, 2), (reach, reach), mode="replicate")  # (N, C, T + 2 reach)
    smoothed = F.conv1d(columns.flatten(0, 1)[:, None], (kernel / kernel.sum())[None, None])
    return smoothed.reshape(*signal.shape[::2], -1).transpose(1, 2)


class FollowingLowPass:
    """`low_pass` of a signal that is still coming: the same Gaussian, `delay` frames late, cut off where nothing has come yet.

    Because it waits for no frame that may still change, nothing shows where one piece of the signal meets the next.

    Attributes:
        delay: 2.4 deviations of the Gaussian, beyond which 1 % of it lies.
    """

    def __init__(self, fps: float, cutoff_hz: float) -> None:
        sigma = _sigma(fps, cutoff_hz)
        self.delay = math.ceil(2.4 * sigma)
        offsets = torch.arange(-math.ceil(4 * sigma), self.delay + 1)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        self._kernel = kernel / kernel.sum()
        self._before: Tensor | None = None

    def __call__(self, frames: Tensor) -> Tensor:
        """The next frames (t, C), smoothed; before the first frame the signal is taken to have been as it is there."""
        if self._before is None:
            self._before = frames[:1].expand(len(self._kernel) - 1, -1)
        wide = torch.cat([self._before, frames])
        self._before = wide[len(frames) :]
        return torch.einsum("tck,k->tc", wide.unfold(0, len(self._kernel), 1), self._kernel.to(frames))


def _sigma(fps: float, cutoff_hz: float) -> float:
    return math.sqrt(math.log(2)) / (2 * math.pi * cutoff_hz) * fps  # frames


def steady(motion: Tensor, record: HeadRecord, fps: float, cutoff_hz: float) -> Tensor:
    """Motion (N, T, D) whose head rotation has nothing faster than the cutoff; 0 leaves it as it is."""
    columns = [record.features.index(name) for name in rotation_features(record)]
    if not columns or cutoff_hz == 0:
        return motion
    steadied = motion.clone()
    steadied[..., columns] = low_pass(motion[..., columns], fps, cutoff_hz)
    return steadied


def within_range(motion: Tensor, record: HeadRecord) -> Tensor:
    """ARKit curves held to 0..1, as every program that reads them expects; other features of (..., D) as they are."""
    is_curve = torch.tensor([name in ARKIT_CURVES for name in record.features], device=motion.device)
    return torch.where(is_curve, motion.clamp(0, 1), motion)
