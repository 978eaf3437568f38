"""CodeTalker's first stage: motion as a few codes a frame out of a small codebook, and back.

Encoder and decoder are the same network either way round: a convolution over five frames, normalised over time, then
transformer layers in which every frame sees all others. What the released code does without saying it, and this does too: the
attention is scaled by the width of the network, not of a head; the GELU is the approximate one; and its positions come out
the same for every frame, since they are taken along the batch: a constant, which a bias is as well. So there are none here.

Windows of different lengths may stand in one batch: what is masked has no part in anything.

Source: Xing, Xia, Zhang, Cun, Wang, Wong, "CodeTalker: Speech-Driven 3D Facial Animation with Discrete Motion Prior",
CVPR 2023, and its released code; the quantiser is that of van den Oord et al., "Neural Discrete Representation Learning",
2017.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.losses.geometry import mean_square

_KERNEL, _SLOPE, _EPS = 5, 0.2, 1e-5
# How hard the encoder is held to the codes, beside the codes to the encoder.
_COMMITMENT = 0.25


@dataclass(frozen=True)
class AutoencoderSizes:
    """The sizes of the autoencoder; the defaults are those published for VOCASET.

    Attributes:
        num_features: D, of the motion.
        num_codes: in the codebook, each of `code_dim` numbers.
        codes_per_frame: how many say a frame.
        dim, num_layers, num_heads, feed_forward: of the transformers either side.
        project: map the network's width to that of a frame's codes; without it they must be the same.
        decoded_frames: W, how many frames are decoded at a time.
    """

    num_features: int
    num_codes: int = 256
    code_dim: int = 64
    codes_per_frame: int = 16
    dim: int = 1024
    num_layers: int = 6
    num_heads: int = 8
    feed_forward: int = 1536
    project: bool = True
    decoded_frames: int = 600


class MotionAutoencoder(nn.Module):
    """Normalised motion (B, T, D) -> features of codes (B, T, codes_per_frame * code_dim) -> the nearest codes -> motion."""

    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.codes_per_frame * sizes.code_dim
        if not sizes.project and width != sizes.dim:
            raise ValueError(f"without a projection, codes of {width} numbers a frame wanted dim {width}: {sizes.dim}")
        self.embed_motion = nn.Linear(sizes.num_features, sizes.dim)
        self.encoder = MotionTransformer(sizes)
        self.to_codes = nn.Linear(sizes.dim, width) if sizes.project else nn.Identity()
        self.codebook = nn.Parameter(torch.empty(sizes.num_codes, sizes.code_dim).uniform_(-1, 1) / sizes.num_codes)
        self.from_codes = nn.Linear(width, sizes.dim) if sizes.project else nn.Identity()
        self.decoder = MotionTransformer(sizes)
        self.out = nn.Linear(sizes.dim, sizes.num_features)

    def forward(self, motion: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The motion as its codes say it, and how far codes and encoder are from each other.

        Args:
            motion: (B, T, D), normalised.
            mask: (B, T), 1 where the frame is real: the first ones of each item.

        Returns:
            (B, T, D); and `commitment`, the published loss of the quantiser, with `perplexity`, how many codes were as
            good as in use.
        """
        features = self.encode(motion, mask)
        index = self.nearest(features)
        codes = self.codes_of(index)
        pull = mean_square(codes - features.detach(), mask) + _COMMITMENT * mean_square(codes.detach() - features, mask)
        used = F.one_hot(index[mask > 0], self.sizes.num_codes).float().flatten(0, -2).mean(0)
        perplexity = (-(used * (used + 1e-10).log()).sum()).exp()
        return self.decode(straight_through(features, codes), mask), {
            "commitment": pull.mean(),
            "perplexity": perplexity,
        }

    def encode(self, motion: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features (B, T, width), not yet codes, of normalised motion (B, T, D)."""
        x = F.leaky_relu(self.embed_motion(_last_stays(motion, mask)), _SLOPE)
        return self.to_codes(self.encoder.mix(self.encoder.convolve(x), mask))

    def nearest(self, features: Tensor) -> Tensor:
        """Indices (B, T, codes_per_frame) of the codes nearest to features (B, T, width)."""
        apart = features.unflatten(-1, (-1, self.sizes.code_dim))  # (B, T, codes_per_frame, code_dim)
        codes = self.codebook
        # |z - e|^2 without |z|^2, which is the same for all codes.
        return (codes.square().sum(-1) - 2 * apart @ codes.T).argmin(-1)

    def codes_of(self, index: Tensor) -> Tensor:
        """The codes (B, T, width) at indices (B, T, codes_per_frame)."""
        return F.embedding(index, self.codebook).flatten(-2)

    def quantise(self, features: Tensor) -> Tensor:
        """The nearest codes (B, T, width), through which the gradient passes as if they were the features."""
        return straight_through(features, self.codes_of(self.nearest(features)))

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalised motion (B, T, D) of codes (B, T, width).

        What is longer than W is decoded in windows that half overlap, and fade into each other.
        """
        convolved = self.decoder.convolve(self.from_codes(_last_stays(codes, mask)))
        num_frames, size = convolved.shape[1], self.sizes.decoded_frames
        if num_frames <= size:
            return self.out(self.decoder.mix(convolved, mask))
        steps = torch.arange(size, device=codes.device)
        fade = torch.minimum(steps + 1, size - steps).to(convolved)[:, None]
        num_windows = math.ceil((num_frames - size) / max(1, size // 2)) + 1
        made = convolved.new_zeros(len(codes), num_frames, self.sizes.num_features)
        total = convolved.new_zeros(num_frames, 1)
        for start in torch.linspace(0, num_frames - size, num_windows).round().long().tolist():
            window = slice(start, start + size)
            seen = None if mask is None else mask[:, window]
            made[:, window] = made[:, window] + fade * self.out(self.decoder.mix(convolved[:, window], seen))
            total[window] += fade
        return made / total

    def codebook_from(self, features: Tensor, generator: torch.Generator) -> None:
        """Draws the codebook from features (n, width), so that every code is near something; ours, before training."""
        apart = features.detach().unflatten(-1, (-1, self.sizes.code_dim)).flatten(0, -2)
        chosen = torch.randint(len(apart), (self.sizes.num_codes,), generator=generator).to(apart.device)
        with torch.no_grad():
            self.codebook.copy_(apart[chosen])


class Unrolled:
    """The decoder at the end of codes that come frame by frame: what each new frame is, given those before it.

    Every frame changes all those before it, which cannot be kept. But the convolution's output is final two frames later, no
    more than W frames are looked back at, and of the last layer and the output only one frame is wanted.
    """

    def __init__(self, autoencoder: MotionAutoencoder) -> None:
        self._autoencoder = autoencoder
        self._inputs: Tensor | None = None  # (B, frames, dim), the last four
        self._convolved: Tensor | None = None  # (B, frames, dim)

    def add(self, codes: Tensor) -> Tensor:
        """Takes in the codes (B, n, width) of the next frames, most often of one; returns the last one's motion (B, 1, D)."""
        model = self._autoencoder
        inputs = model.from_codes(codes)
        if self._inputs is not None:
            inputs = torch.cat([self._inputs, inputs], dim=1)
        self._inputs = inputs[:, 1 - _KERNEL :]
        # New frames change their own convolution and that of the two before them.
        latest = model.decoder.convolve_last(inputs, codes.shape[1] + _KERNEL // 2)
        if self._convolved is not None:
            final = self._convolved[:, : self._convolved.shape[1] + codes.shape[1] - latest.shape[1]]
            latest = torch.cat([final, latest], dim=1)
        self._convolved = latest[:, -model.sizes.decoded_frames :]
        return model.out(model.decoder.mix_last(self._convolved))


class MotionTransformer(nn.Module):
    """A convolution, normalisation over time, and transformer layers without causality: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(sizes.dim, sizes.dim, _KERNEL, padding=_KERNEL // 2, padding_mode="replicate")
        self.embed = nn.Linear(sizes.dim, sizes.dim)
        self.layers = nn.ModuleList(
            MixingLayer(sizes.dim, sizes.num_heads, sizes.feed_forward) for _ in range(sizes.num_layers)
        )

    def convolve(self, x: Tensor) -> Tensor:
        """What a frame and two to either side say, the first and the last standing for those beyond."""
        return F.leaky_relu(self.convolution(x.transpose(1, 2)).transpose(1, 2), _SLOPE)

    def convolve_last(self, x: Tensor, count: int) -> Tensor:
        """The same of the last `count` frames alone, as one product: for so few it takes half the time."""
        reach = _KERNEL // 2
        ended = torch.cat([x[:, :1].expand(-1, reach, -1), x, x[:, -1:].expand(-1, reach, -1)], dim=1)
        windows = ended.unfold(1, _KERNEL, 1)[:, -count:].flatten(2)  # (B, count, dim * kernel)
        return F.leaky_relu(F.linear(windows, self.convolution.weight.flatten(1), self.convolution.bias), _SLOPE)

    def mix(self, convolved: Tensor, mask: Tensor | None = None) -> Tensor:
        """All frames in the light of all others (B, T, dim)."""
        x = self.embed(normalise_over_time(convolved, mask))
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def mix_last(self, convolved: Tensor) -> Tensor:
        """The last frame alone (B, 1, dim) in the light of all."""
        x = self.embed(normalise_over_time(convolved))
        for layer in self.layers[:-1]:
            x = layer(x, None)
        return cast(MixingLayer, self.layers[-1]).last(x)


class MixingLayer(nn.Module):
    """Attention to all frames and a feed-forward, each added to what was normed before it."""

    def __init__(self, dim: int, num_heads: int, feed_forward: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_look = nn.LayerNorm(dim)
        self.look = nn.Linear(dim, 3 * dim, bias=False)  # queries, keys, values
        self.looked = nn.Linear(dim, dim)
        self.norm_feed_forward = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, feed_forward), nn.GELU(approximate="tanh"), nn.Linear(feed_forward, dim)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        queries, keys, values = (
            self.look(self.norm_look(x)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        )
        real = None if mask is None else (mask > 0)[:, None, None]
        attention = F.scaled_dot_product_attention(queries, keys, values, attn_mask=real, scale=x.shape[-1] ** -0.5)
        return self._add(x, attention.transpose(1, 2).flatten(2))

    def last(self, x: Tensor) -> Tensor:
        """The last frame alone (B, 1, dim): keys and values of the others are never made.

        What a query is multiplied with, and what is made of the weighted sum, are linear in the frames, and so can be moved
        to the side on which there is one frame.
        """
        normed, dim = self.norm_look(x), x.shape[-1]
        ask, key, value = self.look.weight.unflatten(0, (3, self.num_heads, -1))  # (H, C, dim) each
        queries = torch.einsum("bd,hcd->bhc", normed[:, -1], ask)
        scores = torch.einsum("bhc,hcd->bhd", queries, key) @ normed.transpose(1, 2)  # (B, H, T)
        heard = (scores * dim**-0.5).softmax(-1) @ normed  # (B, H, dim)
        return self._add(x[:, -1:], torch.einsum("bhd,hcd->bhc", heard, value).flatten(1)[:, None])

    def _add(self, x: Tensor, heard: Tensor) -> Tensor:
        x = x + self.looked(heard)
        return x + self.feed_forward(self.norm_feed_forward(x))


def straight_through(features: Tensor, codes: Tensor) -> Tensor:
    """The codes, with the gradient of the features."""
    return features + (codes - features).detach()


def normalise_over_time(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, T, C) with mean 0 and variance 1 over the real frames of each item, for every channel."""
    if mask is None:
        apart = x - x.mean(1, keepdim=True)
        variance = apart.square().mean(1, keepdim=True)  # `var` takes five times as long along this axis
    else:
        share = (mask / mask.sum(1, keepdim=True).clamp_min(1))[..., None].to(x)  # (B, T, 1)
        apart = x - (share * x).sum(1, keepdim=True)
        variance = (share * apart.square()).sum(1, keepdim=True)
    return apart * (variance + _EPS).rsqrt()


def _last_stays(x: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, C) with the last real frame in place of those after it, as a convolution sees beyond the end."""
    if mask is None:
        return x
    last = (mask > 0).sum(1, keepdim=True) - 1
    index = torch.minimum(torch.arange(x.shape[1], device=x.device), last.clamp_min(0))
    return x.gather(1, index[..., None].expand_as(x))
