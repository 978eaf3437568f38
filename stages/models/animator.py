"""What the deterministic animators share: speech, a speaker's style and the motion so far in, one frame after another out.

A transformer decoder takes the frame before, an embedding of the speaker and the position within a period, looks back at
earlier frames through a bias that grows with every period that lies between, and hears the speech of its own frame alone.
What it makes of that becomes a frame of motion in an architecture's own way.

Three things differ from the released codes. The position within a period is computed, and the bias is that of the distance,
so that there is no table of 600 frames that speech must fit. What earlier frames were asked for is kept, so that the decoder
does the same work for a frame whatever came before. The first frame is fed the speaker alone in training too, as it is when
animating.

Source: Fan, Lin, Saito, Wang, Komura, "FaceFormer: Speech-Driven 3D Facial Animation with Transformers", CVPR 2022.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from stages.audio.pretrained import PretrainedSpeech
from stages.models.autoregressive import DecoderBlock, Kept, distance_bias, periodic_positions
from stages.models.published_speech import PublishedSpeech
from stages.models.resampling import read_at
from stages.models.speech_encoder import ENCODER_RATE_HZ, FolderEncoder, SpeechEncoder
from stages.runtime.config import Config


class AnimatorConfig(Config):
    """The numbers that rebuild an animator; the defaults are FaceFormer's for VOCASET.

    Attributes:
        animator: the architecture.
        num_features: D.
        fps: of the motion.
        subjects: speakers whose style it knows, in the order of their indices from 1.
        period: frames after which positions repeat; the published periods, 30 and 25, are a second.
        speech_encoder: `mel`, ours, of `encoder_*` sizes; or the kind of a user's folder, with its layer and its SHA-256 in
            `folder_layer` and `folder_sha256`.
        published: whose reading of speech by wav2vec 2.0 a published checkpoint has, see `PublishedSpeech`; None where the
            model was trained here, and a frame hears what is said at its own time.
    """

    animator: str
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


class Animator(nn.Module, ABC):
    """The decoder, with its speech encoder and the statistics it normalises motion by."""

    motion_mean: Tensor
    motion_scale: Tensor

    def __init__(self, config: AnimatorConfig, network: PretrainedSpeech | None = None) -> None:
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
        self.register_buffer("motion_mean", torch.zeros(config.num_features))
        self.register_buffer("motion_scale", torch.ones(config.num_features))

    @abstractmethod
    def forward(self, memory: Tensor, subject: Tensor, *, before: Tensor | None = None) -> Tensor:
        """Normalised motion (B, T, D).

        Args:
            memory: (B, T, k, dim), the speech that each frame hears.
            subject: (B,) int64, from 1; 0 is not told, and the style is the mean of all.
            before: (B, T - 1, D), the true normalised motion of all frames but the last ("teacher forcing"); None feeds
                each frame the model's own frame before.
        """

    @abstractmethod
    def estimate(
        self, memory: Tensor, subject: Tensor, truth: Tensor, mask: Tensor, *, fed: Tensor, forced: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What a training compares with the truth.

        Args:
            memory, subject: as in `forward`.
            truth: (B, T, D), normalised.
            mask: (B, T), 1 where the frame is real: the first ones of each item.
            fed: (B, T - 1, D), the frames before that are fed where they are not its own: the true ones, or nearly.
            forced: whether a training that may choose feeds the true frame before.

        Returns:
            Normalised motion (B, T, D), and what the architecture is trained for besides, by name.
        """

    def follow(self, memory: Tensor, subject: Tensor, before: Tensor) -> Tensor:
        """The decoder's output (B, T, dim), all frames at once, each fed the given frame before; see `forward`."""
        num_frames, config = memory.shape[1], self.config
        style = self.style_of(subject)[:, None]  # (B, 1, dim)
        positions = periodic_positions(num_frames, config.period, config.dim).to(memory)
        bias = distance_bias(num_frames, config.period, config.num_heads).to(memory)
        x = torch.cat([style, self.embed_motion(before) + style], dim=1) + positions
        return self._decode(x, self._hear(memory), bias, [None] * len(self.blocks))

    def lead(self, memory: Tensor, subject: Tensor, say: Callable[[Tensor], Tensor]) -> None:
        """Goes from frame to frame: `say` makes the frame (B, 1, D) of the decoder's output (B, 1, dim), which is fed back."""
        num_frames, config = memory.shape[1], self.config
        style = self.style_of(subject)[:, None]
        heard = self._hear(memory)
        positions = periodic_positions(num_frames, config.period, config.dim).to(memory)
        bias = distance_bias(num_frames, config.period, config.num_heads, rows=1).to(memory)
        kept = [Kept(num_frames) for _ in self.blocks]
        x = style
        for frame in range(num_frames):
            own = [tuple(part[:, frame : frame + 1] for part in parts) for parts in heard]
            # The last frame's distances end in those of any frame before it.
            back = bias[..., num_frames - 1 - frame :]
            x = self.embed_motion(say(self._decode(x + positions[frame], own, back, kept))) + style

    def _hear(self, memory: Tensor) -> list[tuple[Tensor, ...]]:
        return [cast(DecoderBlock, block).hear(memory) for block in self.blocks]

    def _decode(self, x: Tensor, heard: list[tuple[Tensor, ...]], bias: Tensor, kept: Sequence[Kept | None]) -> Tensor:
        """Frames (B, n, dim) from their inputs, all at once."""
        x = self.dropout(x)
        for block, parts, past in zip(self.blocks, heard, kept, strict=True):
            x = block(x, parts, bias, past)
        return x

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
