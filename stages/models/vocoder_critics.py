"""The critics that a vocoder learns against: they tell speech from what it makes.

Source: Kong et al., "HiFi-GAN", 2020: periods see every p-th sample, scales see the sound and its averages. Weight norm is
used throughout, where the first scale of the paper has spectral norm.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.models.vocoder import add_weight_norm

_SLOPE = 0.1
# Channels of the layers, in units of the width; kernels, strides and groups of the layers that look at a scale.
_PERIOD_WIDTHS = (1, 4, 16, 32, 32)
_SCALE_WIDTHS = (4, 4, 8, 16, 32, 32, 32)
_SCALE_LAYERS = ((15, 1, 1), (41, 2, 4), (41, 2, 16), (41, 4, 16), (41, 4, 16), (41, 1, 16), (5, 1, 1))


class Opinion(NamedTuple):
    """What one critic says: scores, near 1 for speech, and the features that led to them."""

    score: Tensor
    features: list[Tensor]


class Critics(nn.Module):
    """All critics: one a period, and one a scale.

    Args:
        periods: in samples, prime, so that they see different samples.
        scales: how many times the sound's rate is halved for each critic that sees all samples.
        width: channels of the first layer that sees a period, a multiple of 4; the paper's is 32.
    """

    def __init__(self, periods: tuple[int, ...], scales: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.critics = nn.ModuleList([PeriodCritic(p, width) for p in periods])
        self.critics.extend(ScaleCritic(k, width) for k in scales)
        add_weight_norm(self)

    def forward(self, waveform: Tensor) -> list[Opinion]:
        """(B, S) -> an opinion a critic."""
        return [critic(waveform) for critic in self.critics]


class PeriodCritic(nn.Module):
    """Sees the samples that lie a period apart."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, *(width * w for w in _PERIOD_WIDTHS))
        strides = (3, 3, 3, 3, 1)
        # Samples a period apart stand in a row of their own: the paper's convolutions one sample wide.
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, 5, stride, padding=2) for (a, b), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.judge = nn.Conv1d(widths[-1], 1, 3, padding=1)

    def forward(self, waveform: Tensor) -> Opinion:
        """(B, S) -> the critic's opinion, of (B * period) rows."""
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.period))
        rows = padded.unflatten(-1, (-1, self.period)).transpose(1, 2).reshape(len(waveform) * self.period, 1, -1)
        return _opinion(self.layers, self.judge, rows)


class ScaleCritic(nn.Module):
    """Sees the sound averaged `level` times to half its rate."""

    def __init__(self, level: int, width: int) -> None:
        super().__init__()
        self.level = level
        widths = (1, *(width * w for w in _SCALE_WIDTHS))
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, kernel, stride, groups=groups, padding=kernel // 2)
            for (a, b), (kernel, stride, groups) in zip(pairwise(widths), _SCALE_LAYERS, strict=True)
        )
        self.judge = nn.Conv1d(widths[-1], 1, 3, padding=1)

    def forward(self, waveform: Tensor) -> Opinion:
        """(B, S) -> the critic's opinion."""
        x = waveform[:, None]
        for _ in range(self.level):
            x = F.avg_pool1d(x, 4, 2, padding=2)
        return _opinion(self.layers, self.judge, x)


def _opinion(layers: nn.ModuleList, judge: nn.Module, x: Tensor) -> Opinion:
    features = []
    for layer in layers:
        x = F.leaky_relu(layer(x), _SLOPE)
        features.append(x)
    return Opinion(torch.flatten(judge(x), 1), features)
