"""FaceFormer's released layout of parameters, and its animation computed the long way: every prefix anew, every table whole."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NaiveFaceFormer(nn.Module):
    """Named as released; random weights, none of them zero.

    Args:
        folder: of a wav2vec 2.0; None leaves out what hears.
    """

    def __init__(
        self, folder: Path | None, reading: str, num_vertices: int, *, dim: int = 16, num_subjects: int = 8
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.reading, self.period = reading, {"vocaset": 30, "biwi": 25}[reading]
        if folder is not None:
            from transformers import Wav2Vec2Model

            self.audio_encoder: Any = Wav2Vec2Model.from_pretrained(folder)
            self.audio_feature_map = nn.Linear(self.audio_encoder.config.hidden_size, dim)
        self.vertice_map = nn.Linear(3 * num_vertices, dim)
        layer = nn.TransformerDecoderLayer(dim, 4, 2 * dim, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, 1)
        self.vertice_map_r = nn.Linear(dim, 3 * num_vertices)
        self.obj_vector = nn.Linear(num_subjects, dim, bias=False)
        self.PPE: Any = nn.Module()
        self.PPE.register_buffer("pe", positions_of(self.period, dim).repeat(600 // self.period + 1, 1)[None])
        with torch.no_grad():
            for parameter in self.parameters():
                # As after some training: what is tuned differs from the folder's, and no bias is zero.
                parameter.add_(0.05 * torch.randn_like(parameter))
        self.eval()

    @torch.no_grad()
    def displacements(self, samples: Tensor, subject: int) -> Tensor:
        """Offsets (T, V, 3) from the template, in the style of a subject counted from 0."""
        return self.decode(hear(self.audio_encoder, self.reading, samples), subject)

    @torch.no_grad()
    def decode(self, features: Tensor, subject: int) -> Tensor:
        """The same from features (n, C)."""
        each = {"vocaset": 1, "biwi": 2}[self.reading]
        memory = self.audio_feature_map(features)[None]
        style = self.obj_vector.weight[:, subject][None, None]
        inputs = style
        for count in range(1, len(features) // each + 1):
            out = self.frame(inputs, memory, *masks_of(count, len(features), each, self.period))
            inputs = torch.cat([inputs, self.vertice_map(out[None, -1:]) + style], dim=1)
        return out.unflatten(1, (-1, 3))

    @torch.no_grad()
    def frame(self, inputs: Tensor, memory: Tensor, bias: Tensor, hears: Tensor) -> Tensor:
        """All frames so far (n, 3V), of which the last one is new, from what each was fed (1, n, dim)."""
        positions = self.PPE.pe[:, : inputs.shape[1]]
        decoded = self.transformer_decoder(inputs + positions, memory, tgt_mask=bias, memory_mask=hears)
        return self.vertice_map_r(decoded)[0]


@torch.no_grad()
def hear(audio_encoder: Any, reading: str, samples: Tensor) -> Tensor:
    """Features (n, C) of samples (S,) i16."""
    waveform = samples.double() / 32768
    waveform = ((waveform - waveform.mean()) / torch.sqrt(waveform.var(correction=0) + 1e-7)).float()
    convolved = audio_encoder.feature_extractor(waveform[None])  # (1, C', n)
    if reading == "vocaset":
        count = convolved.shape[2]
        convolved = F.interpolate(convolved, size=int(count / 50.0 * 30), align_corners=True, mode="linear")
    else:
        convolved = convolved[:, :, : convolved.shape[2] // 2 * 2]
    projected, _ = audio_encoder.feature_projection(convolved.transpose(1, 2))
    return audio_encoder.encoder(projected).last_hidden_state[0]


def positions_of(number: int, dim: int) -> Tensor:
    """The first positions' sines and cosines (number, dim)."""
    table = torch.zeros(number, dim)
    for position in range(number):
        for pair in range(dim // 2):
            angle = position / 10_000 ** (2 * pair / dim)
            table[position, 2 * pair], table[position, 2 * pair + 1] = math.sin(angle), math.cos(angle)
    return table


def masks_of(count: int, num_features: int, each: int, period: int) -> tuple[Tensor, Tensor]:
    """What is added to the attention of `count` frames to each other (4, n, n), and what of speech they do not hear."""
    bias = torch.full((4, count, count), -math.inf)
    hears = torch.ones(count, num_features, dtype=torch.bool)
    for i in range(count):
        for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
            bias[head, i, : i + 1] = -slope * ((i - torch.arange(i + 1)) // period)
        hears[i, each * i : each * (i + 1)] = False
    return bias, hears
