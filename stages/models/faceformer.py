"""FaceFormer: frame after frame of motion from speech and from the motion so far, always the same for the same speech.

A transformer decoder takes the frame before, an embedding of the speaker and the position within a period, looks back at
earlier frames through a bias that grows with every period that lies between, and hears the speech of its own frame alone.

The published network maps offsets of all vertices to a few dimensions and back. Here motion features stand between: a head
turns them into vertices, as the published output layer does, and the network is of the same size for every mesh. The output
layer of a published checkpoint has as many directions as the network has dimensions, and one more for its bias; they become
the shapes of a head, so that nothing is lost (`stages.models.faceformer_import`).

Three things differ from the released code. The position within a period is computed, and the bias is that of the distance,
so that there is no table of 600 frames that speech must fit. What earlier frames were asked for is kept, so that a frame
costs the same network whatever came before. The first frame is fed the speaker alone in training too, as it is when
animating.

Source: Fan, Lin, Saito, Wang, Komura, "FaceFormer: Speech-Driven 3D Facial Animation with Transformers", CVPR 2022.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.models.folder_of_model import load_folder_of
from stages.models.published_speech import PublishedSpeech
from stages.models.resampling import read_at
from stages.models.speech_encoder import ENCODER_RATE_HZ, FolderEncoder, SpeechEncoder
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.config import Config


class FaceFormerConfig(Config):
    """The numbers that rebuild the network; the defaults are those published for VOCASET.

    Attributes:
        num_features: D.
        fps: of the motion.
        subjects: speakers whose style it knows, in the order of their indices from 1.
        period: frames after which positions repeat; the published periods, 30 and 25, are a second.
        speech_encoder: `mel`, ours, of `encoder_*` sizes; or the kind of a user's folder, with its layer and its SHA-256 in
            `folder_layer` and `folder_sha256`.
        published: whose reading of speech by wav2vec 2.0 a published checkpoint has, see `PublishedSpeech`; None where the
            model was trained here, and a frame hears what is said at its own time.
    """

    animator: Literal["faceformer"] = "faceformer"
    num_features: int
    fps: float
    subjects: tuple[str, ...]
    period: int
    dim: int = 64
    num_layers: int = 1
    num_heads: int = 4
    dropout: float = 0.1
    encoder_dim: int = 64
    encoder_layers: int = 5
    encoder_kernel: int = 9
    speech_encoder: Literal["mel", "wav2vec2", "hubert", "wavlm"] = "mel"
    folder_layer: int = 0
    folder_sha256: str = ""
    freeze_encoder: bool = False
    published: Literal["vocaset", "biwi"] | None = None


class FaceFormer(nn.Module):
    """The network, with its speech encoder and the statistics it normalises motion by."""

    motion_mean: Tensor
    motion_scale: Tensor

    def __init__(self, config: FaceFormerConfig, network: PretrainedSpeech | None = None) -> None:
        """`network` is the user's, where `config.speech_encoder` says so."""
        super().__init__()
        self.config = config
        dim = config.dim
        self.speech_encoder: SpeechEncoder | FolderEncoder | PublishedSpeech
        if network is None:
            self.speech_encoder = SpeechEncoder(config.encoder_dim, config.encoder_layers, config.encoder_kernel)
        elif config.published is None:
            self.speech_encoder = FolderEncoder(network, config.encoder_dim, frozen=config.freeze_encoder)
        else:
            self.speech_encoder = PublishedSpeech(network, config.published)
        self.embed_speech = nn.Linear(config.encoder_dim, dim)
        self.embed_motion = nn.Linear(config.num_features, dim)
        self.style = nn.Linear(len(config.subjects), dim, bias=False)
        self.blocks = nn.ModuleList(
            DecoderBlock(dim, config.num_heads, config.dropout) for _ in range(config.num_layers)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(dim, config.num_features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("motion_mean", torch.zeros(config.num_features))
        self.register_buffer("motion_scale", torch.ones(config.num_features))

    def forward(self, memory: Tensor, subject: Tensor, *, before: Tensor | None = None) -> Tensor:
        """Normalised motion (B, T, D).

        Args:
            memory: (B, T, k, dim), the speech that each frame hears.
            subject: (B,) int64, from 1; 0 is not told, and the style is the mean of all.
            before: (B, T - 1, D), the true normalised motion of all frames but the last ("teacher forcing"); None feeds
                each frame the model's own frame before.
        """
        num_frames, config = memory.shape[1], self.config
        style = self.style_of(subject)[:, None]  # (B, 1, dim)
        heard = [cast(DecoderBlock, block).keys_of(memory) for block in self.blocks]
        positions = periodic_positions(num_frames, config.period, config.dim).to(memory)
        bias = distance_bias(num_frames, config.period, config.num_heads, rows=1 if before is None else None).to(memory)
        if before is not None:
            x = torch.cat([style, self.embed_motion(before) + style], dim=1) + positions
            return self._decode(x, heard, bias, [None] * len(self.blocks))
        kept = [Kept(num_frames) for _ in self.blocks]
        x, frames = style, []
        for frame in range(num_frames):
            own = [(keys[:, frame : frame + 1], values[:, frame : frame + 1]) for keys, values in heard]
            # The last frame's distances end in those of any frame before it.
            back = bias[..., num_frames - 1 - frame :]
            frames.append(self._decode(x + positions[frame], own, back, kept))
            x = self.embed_motion(frames[-1]) + style
        return torch.cat(frames, dim=1)

    def _decode(
        self, x: Tensor, heard: list[tuple[Tensor, Tensor]], bias: Tensor, kept: "Sequence[Kept | None]"
    ) -> Tensor:
        """Frames from their inputs (B, n, dim), all at once: (B, n, D)."""
        x = self.dropout(x)
        for block, (keys, values), past in zip(self.blocks, heard, kept, strict=True):
            x = block(x, keys, values, bias, past)
        return self.out(x)

    def style_of(self, subject: Tensor) -> Tensor:
        """The speakers' embeddings (B, dim); that of index 0 is the mean of all."""
        weight = self.style.weight  # (dim, subjects)
        return torch.cat([weight.mean(1, keepdim=True), weight], dim=1).T[subject]

    def encode_speech(self, sound: Tensor, first_frame_s: Tensor, num_frames: int) -> Tensor:
        """What each frame of a training window hears (B, T, 1, dim); arguments as of `MotionDenoiser.encode_speech`."""
        times = torch.arange(num_frames, device=sound.device) / self.config.fps
        features = self.speech_encoder(sound)
        return self.embed_speech(read_at(features, (first_frame_s[:, None] + times) * ENCODER_RATE_HZ))[:, :, None]

    @torch.no_grad()
    def animate(self, samples: Tensor, num_frames: int, subject: int) -> Tensor:
        """Motion of a recording of any length.

        Args:
            samples: (S,) i16.
            num_frames: T. A published model makes a frame less than there is speech for now and then; its last one stays.
            subject: as in `forward`.

        Returns:
            (T, D), not normalised.
        """
        encoder = self.speech_encoder
        if isinstance(encoder, PublishedSpeech):
            memory = self.embed_speech(encoder.read(samples, self.config.fps))[None]  # (1, T', k, dim)
        else:
            ticks = torch.arange(num_frames, device=samples.device) / self.config.fps * ENCODER_RATE_HZ
            memory = self.embed_speech(read_at(encoder.encode_whole(samples), ticks))[:, :, None]
        made = self.restore(self(memory, torch.tensor([subject], device=samples.device)))[0]
        return made[torch.arange(num_frames, device=made.device).clamp_max(len(made) - 1)]

    @property
    def speech_margin(self) -> int:
        """Mel frames, even, that the encoder needs before and after the stretch it encodes."""
        reach = 0 if isinstance(self.speech_encoder, PublishedSpeech) else self.speech_encoder.reach
        return reach + reach % 2

    def normalise(self, motion: Tensor) -> Tensor:
        """Motion in the model's scale."""
        return (motion - self.motion_mean) / self.motion_scale

    def restore(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return normalised * self.motion_scale + self.motion_mean


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

    def keys_of(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, T, H, k, C) of the speech (B, T, k, dim), which are the same whatever the motion."""
        keys, values = self.listen(memory).unflatten(-1, (2, self.num_heads, -1)).transpose(2, 4).unbind(3)
        return keys, values

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor, past: Kept | None) -> Tensor:
        """(B, n, dim) -> (B, n, dim); bias (H, n, m) over the m frames so far, these n among them."""
        queries, new_keys, new_values = self.look_back(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            new_keys, new_values = past.add(new_keys, new_values)
        attention = F.scaled_dot_product_attention(
            queries, new_keys, new_values, attn_mask=bias, dropout_p=self.dropout.p if self.training else 0.0
        )  # (B, H, n, C)
        x = self.norms[0](x + self.dropout(self.looked_back(attention.transpose(1, 2).flatten(2))))
        questions = self.ask(x).unflatten(-1, (self.num_heads, 1, -1))  # (B, n, H, 1, C)
        answers = F.scaled_dot_product_attention(questions, keys, values)
        x = self.norms[1](x + self.dropout(self.listened(answers.flatten(2))))
        return self.norms[2](x + self.dropout(self.feed_forward(x)))


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


def checkpoint_of(model: FaceFormer, weights: dict[str, Tensor], head: HeadRecord, curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given (averaged) weights."""
    buffers = arrays_of_weights(dict(model.named_buffers()))
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, head, curves)


def load_faceformer(
    path: Path, device: torch.device | str = "cpu", *, speech_encoder: Path | None = None
) -> tuple[FaceFormer, HeadRecord]:
    """Reads a `thunder.animator`, and the head that its motion plays on.

    Args:
        speech_encoder: the `transformers` folder that it was trained with; None for a model with an encoder of its own.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration; a folder that is missing, or
            is not the one it was trained with.
    """
    checkpoint = read_checkpoint(path, "thunder.animator")
    config = FaceFormerConfig.resolve(options=checkpoint.config)
    model = FaceFormer(config, load_folder_of(config, path, speech_encoder, device))
    load_weights(model, checkpoint.weights | checkpoint.normalisation, path)
    return model.to(device).eval().requires_grad_(False), checkpoint.required_head
