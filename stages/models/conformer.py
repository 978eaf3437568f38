"""Conformer: attention sees far, convolution sees near.

Source: Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", Interspeech 2020: two
half-step feed-forward modules around attention and a convolution. Positions are relative, by rotating queries and keys
(Su et al., "RoFormer", 2021), so that a window may be longer than those seen in training. The convolution is normalised
over channels instead of over the batch: a frozen judge must not depend on what else is in the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.runtime.errors import ThunderError


class Conformer(nn.Module):
    """A stack of conformer blocks: (B, T, dim) -> (B, T, dim)."""

    def __init__(
        self, dim: int, num_layers: int, *, num_heads: int, kernel: int, dropout: float, expansion: int = 4
    ) -> None:
        super().__init__()
        self.head_dim = dim // num_heads
        self.blocks = nn.ModuleList(
            ConformerBlock(dim, num_heads, kernel, dropout, expansion) for _ in range(num_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        rotation = rotary_angles(x.shape[1], self.head_dim, x.device)
        for block in self.blocks:
            x = block(x, rotation)
        return x


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, each residual; then a norm."""

    def __init__(self, dim: int, num_heads: int, kernel: int, dropout: float, expansion: int) -> None:
        super().__init__()
        self.feed_forward_in = feed_forward(dim, expansion, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = RotaryAttention(dim, num_heads)
        self.convolution = ConvolutionModule(dim, kernel)
        self.feed_forward_out = feed_forward(dim, expansion, dropout)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        x = x + 0.5 * self.feed_forward_in(x)
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation))
        x = x + self.dropout(self.convolution(x))
        x = x + 0.5 * self.feed_forward_out(x)
        return self.norm(x)


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % (2 * num_heads):
            # Each head rotates pairs of channels.
            raise ThunderError(
                f"dim {dim} cannot be shared out among {num_heads} heads; wanted a multiple of {2 * num_heads}"
            )
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        q, k, v = (
            self.to_qkv(x).unflatten(-1, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        )  # (B, h, T, c)
        out = attend(rotate(q, rotation), rotate(k, rotation), v)  # (B, h, T, c)
        return self.to_out(out.transpose(1, 2).flatten(-2))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of (B, h, T, c) queries, keys and values."""
    if q.dtype == torch.bfloat16 and q.device.type == "cpu":
        # On a CPU the fused kernel takes four times as long as plain products in this precision.
        return ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


class ConvolutionModule(nn.Module):
    """Pointwise, gate, depthwise over time, norm, pointwise."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ThunderError(f"kernel {kernel} has no middle; wanted an odd number")
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.depthwise_norm = nn.LayerNorm(dim)
        self.contract = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        x = F.glu(self.expand(self.norm(x)), dim=-1)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.contract(F.silu(self.depthwise_norm(x)))


def feed_forward(dim: int, expansion: int, dropout: float) -> nn.Sequential:
    """Norm, widen, activate, narrow."""
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, expansion * dim),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(expansion * dim, dim),
        nn.Dropout(dropout),
    )


def rotary_angles(num_frames: int, head_dim: int, device: torch.device) -> Tensor:
    """Cosine and sine of position times frequency: (2, T, head_dim / 2)."""
    frequencies = 10_000.0 ** (-torch.arange(0, head_dim, 2, device=device) / head_dim)
    angles = torch.arange(num_frames, device=device)[:, None] * frequencies
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotates pairs of channels of (B, h, T, c) by their position's angles."""
    cosine, sine = rotation.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)
