"""A steady neck: heads turn and nod below a few hertz, and what a sampler leaves above is tremor."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def low_pass(signal: Tensor, fps: float, cutoff_hz: float) -> Tensor:
    """Smooths along time by a Gaussian, without shifting anything.

    Args:
        signal: (N, T, C).
        fps: of the signal.
        cutoff_hz: where 3 dB are lost.

    Returns:
        (N, T, C); beyond its ends the signal is taken to stay as it is there.
    """
    sigma = math.sqrt(math.log(2)) / (2 * math.pi * cutoff_hz) * fps  # frames
    reach = math.ceil(4 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=signal.device, dtype=signal.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    columns = F.pad(signal.transpose(1, 2), (reach, reach), mode="replicate")  # (N, C, T + 2 reach)
    smoothed = F.conv1d(columns.flatten(0, 1)[:, None], (kernel / kernel.sum())[None, None])
    return smoothed.reshape(*signal.shape[::2], -1).transpose(1, 2)
