"""Signals on one clock read at the times of another, so that no frame rate is special inside a model."""

import torch
from torch import Tensor


def read_at(signal: Tensor, positions: Tensor) -> Tensor:
    """Linear interpolation along time; positions beyond an end read the end.

    Args:
        signal: (B, T, ...).
        positions: (n,) or (B, n), in frames of `signal`, fractions allowed.

    Returns:
        (B, n, ...).
    """
    last = signal.shape[1] - 1
    positions = positions.clamp(0, last)
    lower = positions.floor().long().clamp(max=max(last - 1, 0))
    upper = (lower + 1).clamp(max=last)
    fraction = (positions - lower).to(signal.dtype)
    if positions.ndim == 1:
        fraction = fraction.reshape(1, -1, *[1] * (signal.ndim - 2))
        return torch.lerp(signal[:, lower], signal[:, upper], fraction)
    rows = torch.arange(len(signal), device=signal.device)[:, None]
    fraction = fraction.reshape(*fraction.shape, *[1] * (signal.ndim - 2))
    return torch.lerp(signal[rows, lower], signal[rows, upper], fraction)


def change_rate(signal: Tensor, source_hz: float, target_hz: float, num_frames: int) -> Tensor:
    """The first `num_frames` frames of (B, T, ...) on a clock of `target_hz` that starts at the same time."""
    positions = torch.arange(num_frames, device=signal.device) * (source_hz / target_hz)
    return read_at(signal, positions)
