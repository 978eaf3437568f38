"""Whose voice it is, as one vector of unit length: what a face cannot tell and a mel spectrogram shows.

An x-vector in small (Snyder et al., "X-Vectors: Robust DNN Embeddings for Speaker Recognition", ICASSP 2018):
convolutions over time, mean and deviation over the utterance, a linear layer. It is trained with the model that it informs,
and by telling the speakers of the training split apart with an additive margin (Wang et al., "Additive Margin Softmax for
Face Verification", 2018), so that two recordings of one voice lie close whatever they say.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.audio.log_mel import NUM_BANDS

_NUM_CHANNELS = 128
_MARGIN = 0.2
_SHARPNESS = 15.0


class SpeakerEncoder(nn.Module):
    """Normalised log-mel -> a vector of unit length."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(NUM_BANDS, _NUM_CHANNELS, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv1d(_NUM_CHANNELS, _NUM_CHANNELS, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.out = nn.Linear(2 * _NUM_CHANNELS, dim)

    def forward(self, normalised_mel: Tensor) -> Tensor:
        """(B, L, 80) -> (B, dim)."""
        x = self.convolutions(normalised_mel.transpose(1, 2))  # (B, channels, L / 4)
        return F.normalize(self.out(torch.cat([x.mean(-1), x.std(-1, correction=0)], dim=-1)), dim=-1)


class SpeakerClassifier(nn.Module):
    """Tells training speakers apart; needed while training only."""

    def __init__(self, dim: int, num_speakers: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(num_speakers, dim))

    def forward(self, voice: Tensor, speaker: Tensor) -> Tensor:
        """Additive-margin softmax loss (B,) of embeddings (B, dim) and speaker indices (B,)."""
        cosines = voice @ F.normalize(self.directions, dim=-1).T  # (B, speakers)
        margin = _MARGIN * F.one_hot(speaker, len(self.directions))
        return F.cross_entropy(_SHARPNESS * (cosines - margin), speaker, reduction="none")
