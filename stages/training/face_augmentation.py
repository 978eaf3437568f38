"""Faces as trackers and generators see them: noisy, jittery, a little turned, hidden for a moment, faster or slower.

What listens to faces must not stumble over any of it. All of it is drawn anew for every batch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stages.models.resampling import read_at
from stages.training.windows import WindowBatch

# Distinct frames of noise that a batch is given in random order and sign: drawing each anew would cost more than the model.
_NUM_NOISE_FRAMES = 64
_LONGEST_HIDDEN_S = 0.4


@dataclass(frozen=True)
class FaceAugmentation:
    """How much of each.

    Attributes:
        noise: standard deviation of white noise on every value seen, as a share of that value's own.
        jitter: the same on motion features, which moves neighbouring vertices together as a tracked landmark does.
        turn_rad: standard deviation of what is left of the head's rotation; a translation of as much of the face's size
            goes with it.
        speed: motion and speech are played up to this share faster or slower.
        hidden: chance that up to 0.4 s of a window are hidden.
    """

    noise: float = 0.05
    jitter: float = 0.03
    turn_rad: float = 0.01
    speed: float = 0.1
    hidden: float = 0.5


def vary_speed(batch: WindowBatch, num_frames: int, num_mel_frames: int, speed: float) -> WindowBatch:
    """The first part of every window, played at a speed of its own.

    Args:
        batch: windows of at least `num_frames * (1 + speed)` frames, without context.
        num_frames: T of the result.
        num_mel_frames: L of the result, even.
    """
    rate = 1 + speed * (2 * torch.rand(len(batch.motion), 1) - 1).to(batch.motion.device)  # (B, 1)

    def times(count: int) -> Tensor:
        return torch.arange(count, device=rate.device) * rate  # (B, count)

    def nearest(values: Tensor, count: int) -> Tensor:
        return values.gather(1, times(count).round().long().clamp(max=values.shape[1] - 1))

    return replace(
        batch,
        motion=read_at(batch.motion, times(num_frames)),
        mask=nearest(batch.mask, num_frames),
        log_mel=read_at(batch.log_mel, times(num_mel_frames)),
        units=nearest(batch.units, num_mel_frames // 2),
        mel_mask=nearest(batch.mel_mask, num_mel_frames),
    )


def jitter_features(motion: Tensor, scale: Tensor, amount: float) -> Tensor:
    """White noise on motion features (B, T, D), of `amount` times the deviation (D,) of each."""
    return motion + amount * scale * torch.randn(motion.shape).to(motion.device)


def turn_face(visible: Tensor, rest: Tensor, amount: float) -> Tensor:
    """Adds a small rigid motion that drifts through the window.

    Args:
        visible: (B, T, 3 M) displacements.
        rest: (M, 3) where the vertices stand, head units.
        amount: standard deviation of the angle, radians, and of the translation as a share of the face's size.
    """
    arms = rest - rest.mean(0)
    x, y, z = arms.unbind(-1)
    zero = torch.zeros_like(x)
    turns = [torch.stack(c, -1) for c in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    size = arms.norm(dim=-1).max()
    shifts = [size * torch.eye(3, device=rest.device)[k].expand_as(arms) for k in range(3)]
    modes = torch.stack([*turns, *shifts]).flatten(1)  # (6, 3 M)
    ends = amount * torch.randn(len(visible), 2, 6).to(visible.device)
    weights = read_at(ends, torch.linspace(0, 1, visible.shape[1], device=visible.device))  # (B, T, 6)
    return visible + weights @ modes


def add_noise(visible: Tensor, scale: Tensor, amount: float) -> Tensor:
    """White noise on (B, T, C), of `amount` times the deviation (C,) of each value."""
    bank = amount * scale * torch.randn(_NUM_NOISE_FRAMES, visible.shape[-1]).to(visible.device)
    return visible + bank[torch.randint(len(bank), visible.shape[:2])]


def hide_for_a_moment(visible: Tensor, replacement: Tensor, fps: float, chance: float) -> Tensor:
    """Replaces a stretch of up to 0.4 s of some windows (B, T, C) by `replacement` (C,)."""
    batch, num_frames = visible.shape[:2]
    length = torch.rand(batch, 1) * _LONGEST_HIDDEN_S * fps * (torch.rand(batch, 1) < chance)
    start = torch.rand(batch, 1) * num_frames
    frames = torch.arange(num_frames)
    hidden = ((frames >= start) & (frames < start + length)).to(visible.device)
    return torch.where(hidden[..., None], replacement, visible)
