"""What a lip reader looks and listens with: a residual network over pictures, and one over sound, both at 25 Hz.

`published` is Auto-AVSR's form (Ma et al., ICASSP 2023): a convolution over five frames and a ResNet-18 with batch norm over
pictures of 88², and a ResNet-18 in one dimension over the waveform. `light` is ours, for a CPU and small corpora. A drawn mouth
stands in the middle of its crop, so that *where* something is in the picture says what it is: pictures become 11² patches at
once, and what remains after two residual blocks is told apart by its place, where a ResNet needs two stages more and a mean to
say the same. Norms are over groups of channels, and sound is a log-mel spectrogram, which a network need not learn to make.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.audio.log_mel import NUM_BANDS

# Mel frames and samples of one frame of video at 25 Hz: frame n hears the 40 ms that begin with it.
MEL_FRAMES = 4
SAMPLES = 640
_DEPTHS = (2, 2, 2, 2)
_GROUPS = 8
# Patches along a side that the light form ends with.
_PATCHES_OUT = 6


def _norm(channels: int, batch_norm: bool, dimensions: int) -> nn.Module:
    if not batch_norm:
        return nn.GroupNorm(min(_GROUPS, channels), channels)
    return nn.BatchNorm2d(channels) if dimensions == 2 else nn.BatchNorm1d(channels)


class ResidualBlock(nn.Module):
    """Two convolutions and a way round them (He et al., 2016), in one or two dimensions."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, batch_norm: bool, dimensions: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv1d
        self.first = convolution(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = _norm(outputs, batch_norm, dimensions)
        self.second = convolution(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = _norm(outputs, batch_norm, dimensions)
        self.way_round = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.way_round = nn.Sequential(
                convolution(inputs, outputs, 1, stride=stride, bias=False), _norm(outputs, batch_norm, dimensions)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, ...) -> (n, outputs, ...)."""
        inside = self.second_norm(self.second(F.silu(self.first_norm(self.first(x)))))
        return F.silu(inside + self.way_round(x))


def _trunk(channels: int, *, batch_norm: bool, dimensions: int) -> nn.Sequential:
    """A ResNet of four stages, each but the first half as fine and twice as wide as the one before."""
    blocks: list[nn.Module] = []
    width = channels
    for stage, depth in enumerate(_DEPTHS):
        for k in range(depth):
            outputs = channels << stage
            stride = 2 if stage and k == 0 else 1
            blocks.append(ResidualBlock(width, outputs, stride, batch_norm=batch_norm, dimensions=dimensions))
            width = outputs
    return nn.Sequential(*blocks)


class PictureFrontEnd(nn.Module):
    """(B, T, 88, 88) normalised crops -> (B, T, 8 channels), in the published form."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_outputs = 8 * channels
        self.stem = nn.Conv3d(1, channels, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False)
        self.stem_norm = nn.BatchNorm2d(channels)
        self.trunk = _trunk(channels, batch_norm=True, dimensions=2)

    def forward(self, crops: Tensor, mask: Tensor) -> Tensor:
        """Frames beyond a clip's end, False in `mask` (B, T), are taken for grey, cost nothing and give zeros."""
        x = self.stem((crops * mask[..., None, None])[:, None])  # (B, C, T, H, W)
        x = x.transpose(1, 2)[mask]  # (frames, C, H, W)
        x = F.max_pool2d(F.silu(self.stem_norm(x)), 3, stride=2, padding=1)
        x = self.trunk(x).mean((2, 3))  # (frames, 8 C)
        return _spread(x, mask)


class PatchFrontEnd(nn.Module):
    """(B, T, 88, 88) normalised crops -> (B, T, 72 channels), frame by frame: movement is left to what follows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_outputs = 2 * channels * _PATCHES_OUT**2
        # Patches of 12² whose middles are 8 pixels apart: 11 by 11 of them.
        self.stem = nn.Conv2d(1, channels, 12, stride=8, padding=2, bias=False)
        self.stem_norm = _norm(channels, False, 2)
        self.trunk = nn.Sequential(
            ResidualBlock(channels, channels, 1, batch_norm=False, dimensions=2),
            ResidualBlock(channels, 2 * channels, 2, batch_norm=False, dimensions=2),
        )

    def forward(self, crops: Tensor, mask: Tensor) -> Tensor:
        """Frames beyond a clip's end, False in `mask` (B, T), cost nothing and give zeros."""
        x = self.stem(crops[mask][:, None])  # (frames, C, 11, 11)
        x = self.trunk(F.silu(self.stem_norm(x)))  # (frames, 2 C, 6, 6)
        return _spread(x.flatten(1), mask)


class WaveformFrontEnd(nn.Module):
    """(B, 640 T) waveform, normalised over the clip -> (B, T, 8 channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_outputs = 8 * channels
        self.stem = nn.Conv1d(1, channels, 80, stride=4, padding=38, bias=False)
        self.stem_norm = nn.BatchNorm1d(channels)
        self.trunk = _trunk(channels, batch_norm=True, dimensions=1)

    def forward(self, waveform: Tensor, mask: Tensor) -> Tensor:
        """What follows a clip's end, False in `mask` (B, T), is silence and gives zeros."""
        x = (waveform.unflatten(1, (-1, SAMPLES)) * mask[..., None]).flatten(1)
        x = self.trunk(F.silu(self.stem_norm(self.stem(x[:, None]))))  # (B, 8 C, 20 T)
        x = F.avg_pool1d(x, 20).transpose(1, 2)  # 4 * 2³ * 20 = 640
        return x * mask[..., None]


class MelFrontEnd(nn.Module):
    """(B, 4 T, 80) normalised log-mel -> (B, T, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_outputs = dim
        self.first = nn.Conv1d(NUM_BANDS, dim, 5, stride=2, padding=2)
        self.second = nn.Conv1d(dim, dim, 5, stride=2, padding=2)

    def forward(self, log_mel: Tensor, mask: Tensor) -> Tensor:
        """What follows a clip's end, False in `mask` (B, T), is an average sound and gives zeros."""
        x = (log_mel * mask.repeat_interleave(MEL_FRAMES, 1)[..., None]).transpose(1, 2)
        x = F.silu(self.first(x)) * mask.repeat_interleave(MEL_FRAMES // 2, 1)[:, None]
        return F.silu(self.second(x)).transpose(1, 2) * mask[..., None]


def _spread(frames: Tensor, mask: Tensor) -> Tensor:
    """(frames, C) laid out as (B, T, C) where `mask` (B, T) is True; zeros elsewhere."""
    return torch.zeros(*mask.shape, frames.shape[1], dtype=frames.dtype, device=frames.device).masked_scatter(
        mask[..., None], frames
    )
