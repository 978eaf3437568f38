"""What decodes motion frame after frame: attention to the frames so far, whose keys and values are kept, and to speech.

Source: Fan et al., FaceFormer, CVPR 2022, whose decoder CodeTalker (Xing et al., CVPR 2023) took over.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Kept:
    """Keys and values of the frames decoded so far, of at most `num_frames`.

    Where gradients are wanted they are joined anew with every frame; elsewhere they lie in one array.
    """

    def __init__(self, num_frames: int) -> None:
        self._num_frames = num_frames
        self._used = 0
        self._both: Tensor | None = None  # (2, B, H, frames, C)

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Takes in (B, H, n, C) of the next frames; returns those of all."""
        new = torch.stack([keys, values])
        if torch.is_grad_enabled():
            self._both = new if self._both is None else torch.cat([self._both, new], dim=3)
        else:
            if self._both is None:
                self._both = new.new_empty(*new.shape[:3], self._num_frames, new.shape[4])
            self._both[:, :, :, self._used : self._used + new.shape[3]] = new
        self._used += new.shape[3]
        everything = self._both[:, :, :, : self._used]
        return everything[0], everything[1]


class DecoderBlock(nn.Module):
    """Attention to the frames so far, to the frame's own speech, and a feed-forward, each normed after it is added."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.look_back = nn.Linear(dim, 3 * dim)  # queries, keys, values
        self.looked_back = nn.Linear(dim, dim)
        self.ask = nn.Linear(dim, dim)
        self.listen = nn.Linear(dim, 2 * dim)  # keys, values
        self.listened = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * dim, dim)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def hear(self, memory: Tensor) -> tuple[Tensor, ...]:
        """What of the speech (B, T, k, dim) is the same whatever the motion: keys and values (B, T, H, k, C).

        Where a frame hears one feature alone, attention to it is that feature, whatever is asked, and the answer (B, T, dim)
        stands for both. Where gradients are wanted it does not, so that every parameter has one, if of zero.
        """
        keys, values = self.listen(memory).unflatten(-1, (2, self.num_heads, -1)).transpose(2, 4).unbind(3)
        if keys.shape[3] == 1 and not torch.is_grad_enabled():
            return (self.listened(values.flatten(2)),)
        return keys, values

    def forward(self, x: Tensor, heard: tuple[Tensor, ...], bias: Tensor, past: Kept | None) -> Tensor:
        """(B, n, dim) -> (B, n, dim); bias (H, n, m) over the m frames so far, these n among them."""
        queries, new_keys, new_values = self.look_back(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            new_keys, new_values = past.add(new_keys, new_values)
        attention = F.scaled_dot_product_attention(
            queries, new_keys, new_values, attn_mask=bias[None], dropout_p=self.dropout.p if self.training else 0.0
        )  # (B, H, n, C)
        x = self.norms[0](x + self.dropout(self.looked_back(attention.transpose(1, 2).flatten(2))))
        x = self.norms[1](x + self.dropout(heard[0] if len(heard) == 1 else self._answer(x, *heard)))
        return self.norms[2](x + self.dropout(self.feed_forward(x)))

    def _answer(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        questions = self.ask(x).unflatten(-1, (self.num_heads, 1, -1))  # (B, n, H, 1, C)
        return self.listened(F.scaled_dot_product_attention(questions, keys, values).flatten(2))


def periodic_positions(num_frames: int, period: int, dim: int) -> Tensor:
    """Sines and cosines of each frame's position within a period: (T, dim).

    Source: FaceFormer, eq. 3.
    """
    position = torch.arange(num_frames) % period
    angles = position[:, None] * torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def distance_bias(num_frames: int, period: int, num_heads: int, *, rows: int | None = None) -> Tensor:
    """What is added to the attention of each frame to all frames so far: (H, T, T), or the last `rows` of it.

    Minus a slope, 2^(-8 h / H) for head h from 1, for every whole period between the two; no frame sees a later one.

    Source: FaceFormer, eq. 5; slopes of Press et al., "Train Short, Test Long", 2022.
    """
    frames = torch.arange(num_frames)
    distance = (frames if rows is None else frames[-rows:])[:, None] - frames
    slopes = 2.0 ** (-8 * torch.arange(1, num_heads + 1) / num_heads)
    bias = -slopes[:, None, None] * distance.div(period, rounding_mode="floor")
    return bias.masked_fill(distance < 0, -math.inf)
