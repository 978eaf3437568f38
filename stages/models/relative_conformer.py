"""Conformer with learned relative positions and masks, in the published form that Auto-AVSR's weights have.

Source: Gulati et al., "Conformer", Interspeech 2020, with the relative attention of Dai et al., "Transformer-XL", ACL 2019:
what a key contributes depends on its content and on its distance, each weighed against the query plus a learned bias. Frames
beyond the end of a clip are masked everywhere, so that a clip is read the same beside a longer one. As Auto-AVSR has it, the
convolution is normalised over the batch and feed-forwards rectify; else it is normalised over channels, which a small batch
does not disturb, and all is smooth.
"""

import math

import torch
from torch import Tensor, nn

from stages.models.conformer import feed_forward
from stages.runtime.errors import ThunderError

# What Auto-AVSR adds to the variance in its norms over channels.
PUBLISHED_EPSILON = 1e-12


class RelativeConformer(nn.Module):
    """A stack of conformer blocks and a norm: (B, T, dim) -> (B, T, dim)."""

    def __init__(
        self,
        dim: int,
        num_layers: int,
        *,
        num_heads: int,
        kernel: int,
        dropout: float,
        expansion: int = 4,
        published: bool = False,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            RelativeBlock(dim, num_heads, kernel, dropout, expansion, published) for _ in range(num_layers)
        )
        self.norm = _norm(dim, published)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, dim) and (B, T), True where a frame is real -> (B, T, dim)."""
        distances = self.dropout(sinusoids(torch.arange(x.shape[1] - 1, -x.shape[1], -1, device=x.device), self.dim))
        x = self.dropout(x * math.sqrt(self.dim))
        for block in self.blocks:
            x = block(x, distances.to(x.dtype), mask)
        return self.norm(x)


class RelativeBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, each residual; then a norm."""

    def __init__(self, dim: int, num_heads: int, kernel: int, dropout: float, expansion: int, published: bool) -> None:
        super().__init__()
        self.feed_forward_in = _feed_forward(dim, expansion, dropout, published)
        self.attention_norm = _norm(dim, published)
        self.attention = RelativeAttention(dim, num_heads, dropout)
        self.convolution_norm = _norm(dim, published)
        self.convolution = MaskedConvolution(dim, kernel, published)
        self.feed_forward_out = _feed_forward(dim, expansion, dropout, published)
        self.norm = _norm(dim, published)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, distances: Tensor, mask: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        x = x + 0.5 * self.feed_forward_in(x)
        x = x + self.dropout(self.attention(self.attention_norm(x), distances, mask))
        x = x + self.dropout(self.convolution(self.convolution_norm(x), mask))
        x = x + 0.5 * self.feed_forward_out(x)
        return self.norm(x)


def _norm(dim: int, published: bool) -> nn.LayerNorm:
    return nn.LayerNorm(dim, eps=PUBLISHED_EPSILON) if published else nn.LayerNorm(dim)


def _feed_forward(dim: int, expansion: int, dropout: float, published: bool) -> nn.Sequential:
    layers = feed_forward(dim, expansion, dropout)
    if published:
        layers[0], layers[2] = _norm(dim, published), nn.ReLU()
    return layers


class RelativeAttention(nn.Module):
    """Multi-head self-attention by content and distance."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if dim % num_heads:
            raise ThunderError(f"dim {dim} cannot be shared out among {num_heads} heads; wanted a multiple")
        self.num_heads = num_heads
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(dim, dim) for _ in range(4))
        self.to_distance = nn.Linear(dim, dim, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(num_heads, dim // num_heads))
        self.distance_bias = nn.Parameter(torch.zeros(num_heads, dim // num_heads))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, distances: Tensor, mask: Tensor) -> Tensor:
        """(B, T, dim), (2 T - 1, dim) sinusoids of T - 1 .. 1 - T, (B, T) -> (B, T, dim)."""
        q, k, v = (
            to(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for to in (self.to_q, self.to_k, self.to_v)
        )
        p = self.to_distance(distances).unflatten(-1, (self.num_heads, -1)).transpose(0, 1)  # (h, 2 T - 1, c)
        by_content = (q + self.content_bias[:, None]) @ k.transpose(-1, -2)  # (B, h, T, T)
        by_distance = by_pair((q + self.distance_bias[:, None]) @ p.transpose(-1, -2))  # (B, h, T, T)
        scores = (by_content + by_distance) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        return self.to_out((self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).flatten(-2))


def by_pair(scores: Tensor) -> Tensor:
    """From scores of every query and distance to those of every query and key.

    Args:
        scores: (..., T, 2 T - 1); column r is of distance T - 1 - r, query minus key.

    Returns:
        (..., T, T): entry (i, j) is the score of query i at distance i - j.
    """
    length = scores.shape[-2]
    # A column more, and rows of T read on from there: each row starts one further left.
    flat = nn.functional.pad(scores, (1, 0)).flatten(-2)[..., length:]
    return flat.unflatten(-1, (length, 2 * length - 1))[..., :length]


class MaskedConvolution(nn.Module):
    """Pointwise, gate, depthwise over time, norm, pointwise; silent beyond a clip's end."""

    def __init__(self, dim: int, kernel: int, batch_norm: bool) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ThunderError(f"kernel {kernel} has no middle; wanted an odd number")
        self.expand = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = nn.BatchNorm1d(dim) if batch_norm else nn.LayerNorm(dim)
        self.contract = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, dim) and (B, T) -> (B, T, dim)."""
        x = nn.functional.glu(self.expand(x), dim=-1) * mask[..., None]
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        if isinstance(self.norm, nn.BatchNorm1d):
            real = self.norm(x[mask])  # (frames, dim): what pads a batch has no part in its statistics
            x = torch.zeros_like(x, dtype=real.dtype).masked_scatter(mask[..., None], real)
        else:
            x = self.norm(x)
        return self.contract(nn.functional.silu(x))


def sinusoids(positions: Tensor, dim: int) -> Tensor:
    """(n, dim): sine and cosine by turns of positions (n,) times falling frequencies (Vaswani et al., 2017)."""
    frequencies = torch.exp(torch.arange(0, dim, 2, device=positions.device) * (-math.log(10_000.0) / dim))
    angles = positions[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :dim]
