"""CodeTalker's released layout of parameters, and its animation computed the long way: every prefix anew, every layer whole."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tests.models.naive_faceformer import hear, masks_of, positions_of


class Sizes(NamedTuple):
    """Of the decoder, of a frame's codes and of the codebook, and of either side of the autoencoder."""

    dim: int
    layers: int
    codes: int
    code_dim: int
    num_codes: int
    inner_dim: int
    inner_layers: int
    inner_feed_forward: int


SMALL = {"vocaset": Sizes(16, 2, 4, 6, 12, 24, 2, 20), "biwi": Sizes(16, 2, 3, 5, 12, 24, 2, 20)}
RELEASED = {
    "vocaset": Sizes(1024, 6, 16, 64, 256, 1024, 6, 1536),
    "biwi": Sizes(1024, 12, 8, 128, 256, 1024, 6, 1536),
}


class NaiveCodeTalker(nn.Module):
    """Named as released; random weights, none of them zero.

    Args:
        folder: of a wav2vec 2.0; None leaves out what hears.
        reading: `vocaset`, whose codes fill the autoencoder's width, or `biwi`, which maps them to it, and has no bias in
            its output.
    """

    def __init__(
        self,
        folder: Path | None,
        reading: str,
        num_vertices: int,
        *,
        num_subjects: int = 8,
        sizes: dict[str, Sizes] = SMALL,
    ) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.reading, self.period = reading, {"vocaset": 30, "biwi": 25}[reading]
        self.sizes = sizes[reading]
        dim, width = self.sizes.dim, self.sizes.codes * self.sizes.code_dim
        if folder is not None:
            from transformers import Wav2Vec2Model

            self.audio_encoder: Any = Wav2Vec2Model.from_pretrained(folder)
            self.audio_feature_map = nn.Linear(self.audio_encoder.config.hidden_size, dim)
        self.vertice_map = nn.Linear(3 * num_vertices, dim)
        self.PPE: Any = nn.Module()
        self.PPE.register_buffer("pe", positions_of(self.period, dim).repeat(600 // self.period + 1, 1)[None])
        layer = nn.TransformerDecoderLayer(dim, 4, 2 * dim, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, self.sizes.layers)
        self.feat_map = nn.Linear(dim, width, bias=False)
        self.learnable_style_emb = nn.Embedding(num_subjects, dim)
        self.autoencoder: Any = NaiveAutoencoder(3 * num_vertices, width, reading, self.sizes)
        self.autoencoder.quantize = nn.Module()
        self.autoencoder.quantize.embedding = nn.Embedding(self.sizes.num_codes, self.sizes.code_dim)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        self.eval()

    def quantise(self, features: Tensor) -> Tensor:
        """(n, codes * code_dim) -> the same, every vector of `code_dim` replaced by the code nearest to it."""
        vectors, codes = features.reshape(-1, self.sizes.code_dim), self.autoencoder.quantize.embedding.weight
        squares = vectors.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * vectors @ codes.T
        return codes[squares.argmin(1)].reshape(features.shape)

    @torch.no_grad()
    def displacements(self, samples: Tensor, subject: int) -> Tensor:
        """Offsets (T, V, 3) from the template, in the style of a subject counted from 0."""
        return self.decode(hear(self.audio_encoder, self.reading, samples), subject)

    @torch.no_grad()
    def decode(self, features: Tensor, subject: int) -> Tensor:
        """The same from features (n, C)."""
        each = {"vocaset": 1, "biwi": 2}[self.reading]
        memory = self.audio_feature_map(features)[None]
        style = self.learnable_style_emb.weight[subject][None, None]
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
        codes = self.quantise(self.feat_map(decoded[0]))
        # Normalising over time wants two frames.
        return self.autoencoder.decode(codes.repeat(2, 1))[:1] if len(codes) == 1 else self.autoencoder.decode(codes)


class NaiveAutoencoder(nn.Module):
    """Both sides, of which only the decoder has a part in animating."""

    def __init__(self, num_values: int, width: int, reading: str, sizes: Sizes) -> None:
        super().__init__()
        self.reading, self.dim = reading, sizes.inner_dim
        dim = self.dim
        self.encoder: Any = nn.Module()
        self.decoder: Any = nn.Module()
        self.encoder.vertice_mapping = nn.Sequential(nn.Linear(num_values, dim), nn.LeakyReLU(0.2))
        self.encoder.squasher = nn.Sequential(convolution(dim))
        self.decoder.expander = nn.ModuleList([convolution(dim)])
        for side, name in ((self.encoder, "encoder"), (self.decoder, "decoder")):
            transformer: Any = nn.Module()
            embedding: Any = nn.Module()
            positions = nn.Module()
            transformer.net = nn.Sequential(
                *(residual(dim, sizes.inner_feed_forward, number) for number in range(2 * sizes.inner_layers))
            )
            embedding.net = nn.Linear(dim, dim)
            positions.register_buffer("pe", positions_of(40, dim)[:, None])
            setattr(side, f"{name}_transformer", transformer)
            setattr(side, f"{name}_linear_embedding", embedding)
            setattr(side, f"{name}_pos_embedding", positions)
        if reading == "biwi":
            self.encoder.encoder_linear_embedding_post = nn.Module()
            self.decoder.decoder_linear_embedding_pre = nn.Module()
            self.encoder.encoder_linear_embedding_post.net = nn.Linear(dim, width)
            self.decoder.decoder_linear_embedding_pre.net = nn.Linear(width, dim)
        self.decoder.vertice_map_reverse = nn.Linear(dim, num_values, bias=reading == "vocaset")

    def encode(self, displacements: Tensor) -> Tensor:
        """(n, 3V) -> (n, width)."""
        x = self.mix(self.encoder.vertice_mapping(displacements), self.encoder, "encoder", self.encoder.squasher[0])
        return self.encoder.encoder_linear_embedding_post.net(x) if self.reading == "biwi" else x

    def decode(self, codes: Tensor) -> Tensor:
        """(n, width) -> (n, 3V)."""
        x = self.decoder.decoder_linear_embedding_pre.net(codes) if self.reading == "biwi" else codes
        return self.decoder.vertice_map_reverse(self.mix(x, self.decoder, "decoder", self.decoder.expander[0]))

    def mix(self, x: Tensor, side: Any, name: str, convolve: nn.Module) -> Tensor:
        x = getattr(side, f"{name}_linear_embedding").net(convolve(x.T[None])[0].T)
        x = x + getattr(side, f"{name}_pos_embedding").pe[0]  # a batch of one: the first position for every frame
        blocks = getattr(side, f"{name}_transformer").net
        for look, forward in zip(blocks[::2], blocks[1::2], strict=True):
            queries, keys, values = look.fn.fn.to_qkv(look.fn.norm(x)).chunk(3, dim=1)
            heard = []
            for query, key, value in zip(*(part.chunk(8, dim=1) for part in (queries, keys, values)), strict=True):
                scores = query @ key.T / math.sqrt(self.dim)
                heard.append(scores.softmax(1) @ value)
            x = x + look.fn.fn.to_out(torch.cat(heard, dim=1))
            inside = forward.fn.fn.l1(forward.fn.norm(x))
            gelu = inside * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inside + 0.044715 * inside**3)))
            x = x + forward.fn.fn.l2(gelu)
        return x


def convolution(dim: int) -> nn.Sequential:
    """As released: over five frames, then normalised over time."""
    return nn.Sequential(
        nn.Conv1d(dim, dim, 5, padding=2, padding_mode="replicate"), nn.LeakyReLU(0.2), nn.InstanceNorm1d(dim)
    )


def residual(dim: int, feed_forward: int, number: int) -> nn.Module:
    """A block of parameters as released: attention and feed-forward in turn, each in two wrappers."""
    outer: Any = nn.Module()
    middle: Any = nn.Module()
    inner: Any = nn.Module()
    if number % 2:
        inner.l1, inner.l2 = nn.Linear(dim, feed_forward), nn.Linear(feed_forward, dim)
    else:
        inner.to_qkv, inner.to_out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
    middle.norm, middle.fn = nn.LayerNorm(dim), inner
    outer.fn = middle
    return outer
