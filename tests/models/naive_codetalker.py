"""CodeTalker's released layout of parameters, and its animation computed the long way: every prefix anew, every layer whole."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.models.naive_faceformer import hear, masks_of, positions_of


class NaiveCodeTalker(nn.Module):
    """Named as released; random weights, none of them zero.

    Args:
        reading: `vocaset`, whose codes fill the autoencoder's width, or `biwi`, which maps them to it, and has no bias in
            its output.
    """

    def __init__(self, folder: Path, reading: str, num_vertices: int, *, dim: int = 16, num_subjects: int = 8) -> None:
        super().__init__()
        from transformers import Wav2Vec2Model

        torch.manual_seed(5)
        self.reading, self.period = reading, {"vocaset": 30, "biwi": 25}[reading]
        self.audio_encoder: Any = Wav2Vec2Model.from_pretrained(folder)
        self.audio_feature_map = nn.Linear(self.audio_encoder.config.hidden_size, dim)
        self.vertice_map = nn.Linear(3 * num_vertices, dim)
        self.PPE: Any = nn.Module()
        self.PPE.register_buffer("pe", positions_of(self.period, dim).repeat(600 // self.period + 1, 1)[None])
        layer = nn.TransformerDecoderLayer(dim, 4, 2 * dim, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, 2)
        self.codes, self.code_dim = {"vocaset": (4, 6), "biwi": (3, 5)}[reading]
        self.feat_map = nn.Linear(dim, self.codes * self.code_dim, bias=False)
        self.learnable_style_emb = nn.Embedding(num_subjects, dim)
        self.autoencoder: Any = NaiveAutoencoder(3 * num_vertices, 24, self.codes * self.code_dim, reading)
        self.autoencoder.quantize = nn.Module()
        self.autoencoder.quantize.embedding = nn.Embedding(12, self.code_dim)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        self.eval()

    def quantise(self, features: Tensor) -> Tensor:
        """(n, codes * code_dim) -> the same, every vector of `code_dim` replaced by the code nearest to it."""
        vectors = features.reshape(-1, self.code_dim)
        found = [
            min(self.autoencoder.quantize.embedding.weight, key=lambda code: float((code - vector).square().sum()))
            for vector in vectors
        ]
        return torch.stack(found).reshape(features.shape)

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
            bias, hears = masks_of(count, len(features), each, self.period)
            decoded = self.transformer_decoder(
                inputs + self.PPE.pe[:, :count], memory, tgt_mask=bias, memory_mask=hears
            )
            codes = self.quantise(self.feat_map(decoded[0]))
            # Normalising over time wants two frames.
            out = self.autoencoder.decode(codes.repeat(2, 1))[:1] if count == 1 else self.autoencoder.decode(codes)
            inputs = torch.cat([inputs, self.vertice_map(out[None, -1:]) + style], dim=1)
        return out.unflatten(1, (-1, 3))


class NaiveAutoencoder(nn.Module):
    """Both sides, of which only the decoder has a part in animating."""

    def __init__(self, num_values: int, dim: int, width: int, reading: str) -> None:
        super().__init__()
        self.reading, self.dim = reading, dim
        self.encoder: Any = nn.Module()
        self.decoder: Any = nn.Module()
        self.encoder.vertice_mapping = nn.Sequential(nn.Linear(num_values, dim), nn.LeakyReLU(0.2))
        self.encoder.squasher = nn.Sequential(convolution(dim))
        self.decoder.expander = nn.ModuleList([convolution(dim)])
        for side, name in ((self.encoder, "encoder"), (self.decoder, "decoder")):
            transformer: Any = nn.Module()
            embedding: Any = nn.Module()
            positions = nn.Module()
            transformer.net = nn.Sequential(*(residual(dim, number) for number in range(4)))
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
            for channels in torch.arange(self.dim).chunk(8):
                scores = queries[:, channels] @ keys[:, channels].T / math.sqrt(self.dim)
                heard.append(scores.softmax(1) @ values[:, channels])
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


def residual(dim: int, number: int) -> nn.Module:
    """A block of parameters as released: attention and feed-forward in turn, each in two wrappers."""
    outer: Any = nn.Module()
    middle: Any = nn.Module()
    inner: Any = nn.Module()
    if number % 2:
        inner.l1, inner.l2 = nn.Linear(dim, 20), nn.Linear(20, dim)
    else:
        inner.to_qkv, inner.to_out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
    middle.norm, middle.fn = nn.LayerNorm(dim), inner
    outer.fn = middle
    return outer
