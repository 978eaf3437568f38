"""The denoiser of the diffusion animator: noisy motion of one window, and what is known of it, to clean motion.

It predicts the clean sample x_0 over a window of frames that follows a few frames of context from the window before, as
in DiffPoseTalk (Sun et al., 2024); a clip's first window starts from learned frames instead. Speech enters by time: every
frame receives the speech features interpolated at its own time, which is what cross-attention with DiffPoseTalk's
alignment mask of width 1 computes, and works at any frame rate. Diffusion timestep, emotion and subject style modulate
every layer (Peebles, Xie, "Scalable Diffusion Models with Transformers", 2023). Index 0 of emotion and subject means
"not told"; conditions are dropped to it at random in training, so that guidance and free choice are possible.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.metrics.visemes import LIPS_CLOSED, PHONES, viseme_of
from stages.models.conformer import RotaryAttention, rotary_angles
from stages.models.folder_of_model import load_folder_of
from stages.models.resampling import read_at
from stages.models.speech_encoder import ENCODER_RATE_HZ, FolderEncoder, SpeechEncoder
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.config import Config


class MotionDenoiserConfig(Config):
    """The numbers that rebuild the network.

    Attributes:
        num_features: D.
        fps: of the motion it was trained on.
        emotions, subjects: names it can be told, in the order of their indices from 1.
        window, context: frames generated at once, and frames known from the window before.
        num_timesteps: of the diffusion.
        speech_encoder: `mel`, ours, of `encoder_*` sizes; or the kind of a user's folder, with its layer and its SHA-256 in
            `folder_layer` and `folder_sha256`.
        freeze_encoder: whether the encoder was left as it was when the model was trained.
        regression: the deterministic twin: trained on the last timestep alone and fed zeros for noise, so that it answers in
            one step and always the same.
        names_phones: whether it was taught to name the phones it hears, see `MotionDenoiser.lips_heard_closed`.
    """

    num_features: int
    fps: float
    emotions: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    window: int = 100
    context: int = 10
    num_timesteps: int = 500
    regression: bool = False
    names_phones: bool = False
    dim: int = 512
    num_layers: int = 8
    num_heads: int = 8
    dropout: float = 0.1
    encoder_dim: int = 512
    encoder_layers: int = 8
    encoder_kernel: int = 11
    speech_encoder: Literal["mel", "wav2vec2", "hubert", "wavlm"] = "mel"
    folder_layer: int = 0
    folder_sha256: str = ""
    freeze_encoder: bool = False


@dataclass(frozen=True)
class Conditions:
    """What a window is conditioned on; subject 0 and `has_speech` False mean "not told".

    Attributes:
        speech: (B, context + window, encoder_dim), features at the frames' own times.
        context: (B, context, D) normalised motion before the window.
        has_context: (B,) bool; False for a clip's first window.
        emotion: (B, F, E), the share of each emotion the model knows: one of them in training, two while one passes into
            another, none where it is not told. F is 1, or context + window for a style that changes over time.
        strength: (B, F, E), each share times that emotion's intensity, 0 to 1.
        subject: (B,) int64.
        has_speech: (B,) bool.
    """

    speech: Tensor
    context: Tensor
    has_context: Tensor
    emotion: Tensor
    strength: Tensor
    subject: Tensor
    has_speech: Tensor

    def without_speech_and_style(self) -> "Conditions":
        """The same with nothing told but the context: what guidance leads away from."""
        return replace(
            self,
            has_speech=torch.zeros_like(self.has_speech),
            emotion=torch.zeros_like(self.emotion),
            strength=torch.zeros_like(self.strength),
            subject=torch.zeros_like(self.subject),
        )


class MotionDenoiser(nn.Module):
    """The network, with its speech encoder and the statistics it normalises motion by."""

    motion_mean: Tensor
    motion_scale: Tensor

    def __init__(self, config: MotionDenoiserConfig, network: PretrainedSpeech | None = None) -> None:
        """`network` is the user's, where `config.speech_encoder` says so."""
        super().__init__()
        self.config = config
        dim = config.dim
        self.speech_encoder: SpeechEncoder | FolderEncoder
        if network is None:
            self.speech_encoder = SpeechEncoder(config.encoder_dim, config.encoder_layers, config.encoder_kernel)
        else:
            self.speech_encoder = FolderEncoder(network, config.encoder_dim, frozen=config.freeze_encoder)
        self.no_speech = nn.Parameter(torch.zeros(config.encoder_dim))
        self.start = nn.Parameter(torch.zeros(config.context, config.num_features))
        self.embed_motion = nn.Linear(config.num_features, dim)
        self.embed_speech = nn.Linear(config.encoder_dim, dim)
        self.embed_role = nn.Parameter(torch.randn(2, dim) * 0.02)  # context or window
        self.embed_timestep = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.embed_emotion = nn.Embedding(len(config.emotions) + 1, dim, padding_idx=0)
        self.embed_intensity = nn.Embedding(len(config.emotions) + 1, dim, padding_idx=0)
        self.embed_subject = nn.Embedding(len(config.subjects) + 1, dim, padding_idx=0)
        self.blocks = nn.ModuleList(
            DenoiserBlock(dim, config.num_heads, config.dropout) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, config.num_features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.name_phones = nn.Linear(config.encoder_dim, len(PHONES)) if config.names_phones else None
        self.register_buffer("motion_mean", torch.zeros(config.num_features))
        self.register_buffer("motion_scale", torch.ones(config.num_features))

    def forward(self, x_t: Tensor, timestep: Tensor, given: Conditions) -> Tensor:
        """Estimates the clean window.

        Args:
            x_t: (B, window, D), noisy normalised motion.
            timestep: (B,) int64, 0 clean to num_timesteps pure noise.
            given: what is known.

        Returns:
            x_0 (B, window, D), normalised.
        """
        context = torch.where(given.has_context[:, None, None], given.context, self.start)
        num_context = context.shape[1]
        speech = torch.where(given.has_speech[:, None, None], given.speech, self.no_speech)
        x = self.embed_motion(torch.cat([context, x_t], dim=1)) + self.embed_speech(speech)  # (B, C + T, dim)
        role = torch.zeros(x.shape[1], dtype=torch.long, device=x.device)
        role[num_context:] = 1
        x = x + self.embed_role[role]
        always = self.embed_timestep(sinusoids(timestep, self.config.dim)) + self.embed_subject(
            given.subject
        )  # (B, dim)
        # Row 0 of the tables is "not told", and stays zero.
        emotion = given.emotion @ self.embed_emotion.weight[1:] + given.strength @ self.embed_intensity.weight[1:]
        style = always[:, None] + emotion  # (B, F, dim)
        rotation = rotary_angles(x.shape[1], self.config.dim // self.config.num_heads, x.device)
        for block in self.blocks:
            x = block(x, style, rotation)
        return self.out(self.norm(x[:, num_context:]))

    def encode_speech(self, sound: Tensor, first_frame_s: Tensor | float, num_frames: int) -> Tensor:
        """Speech features at the times of motion frames.

        Args:
            sound: (B, L, 80) log-mel, L even, or what else `speech_encoder.read` makes of a recording.
            first_frame_s: time of the first motion frame after the beginning of that, seconds; a number or (B,).
            num_frames: how many frames, at the model's fps.

        Returns:
            (B, num_frames, encoder_dim).
        """
        features = self.speech_encoder(sound)  # (B, L / 2, encoder_dim)
        times = torch.arange(num_frames, device=sound.device) / self.config.fps
        first = first_frame_s[:, None] if isinstance(first_frame_s, Tensor) else first_frame_s
        return read_at(features, (first + times) * ENCODER_RATE_HZ)

    def lips_heard_closed(self, speech: Tensor) -> Tensor | None:
        """How likely each frame is one of /p b m/, which are not said unless the lips meet: features (B, F, encoder_dim) ->
        (B, F), or None of a model that names no phones."""
        if self.name_phones is None:
            return None
        likely: Tensor = self.name_phones(speech).softmax(-1)
        return likely[..., [viseme_of(phone) == LIPS_CLOSED for phone in PHONES]].sum(-1)

    @property
    def speech_margin(self) -> int:
        """Mel frames, even, that the encoder needs before and after the stretch it encodes."""
        return self.speech_encoder.reach + self.speech_encoder.reach % 2

    def normalise(self, motion: Tensor) -> Tensor:
        """Motion in the model's scale."""
        return (motion - self.motion_mean) / self.motion_scale

    def restore(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return normalised * self.motion_scale + self.motion_mean


class DenoiserBlock(nn.Module):
    """Attention over time and a feed-forward, each modulated by the style and gated, starting as the identity."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim, elementwise_affine=False)
        self.attention = RotaryAttention(dim, num_heads)
        self.norm_feed_forward = nn.LayerNorm(dim, elementwise_affine=False)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout)
        )
        modulation = nn.Linear(dim, 6 * dim)
        nn.init.zeros_(modulation.weight)
        nn.init.zeros_(modulation.bias)
        self.modulate = nn.Sequential(nn.SiLU(), modulation)

    def forward(self, x: Tensor, style: Tensor, rotation: Tensor) -> Tensor:
        """(B, T, dim), (B, 1 or T, dim) -> (B, T, dim)."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.modulate(style).chunk(6, dim=-1)
        x = x + gate_a * self.attention(self.norm_attention(x) * (1 + scale_a) + shift_a, rotation)
        return x + gate_f * self.feed_forward(self.norm_feed_forward(x) * (1 + scale_f) + shift_f)


def tell_emotion(index: Tensor, intensity: Tensor, num_emotions: int) -> tuple[Tensor, Tensor]:
    """`Conditions.emotion` and `.strength`, (B, 1, E) each, of emotion indices (B,), 0 not told, and intensities (B,)."""
    share = F.one_hot(index, num_emotions + 1)[:, None, 1:].float()
    return share, share * intensity[:, None, None]


def sinusoids(timestep: Tensor, dim: int) -> Tensor:
    """Sine and cosine features of a timestep: (B,) -> (B, dim)."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(dim // 2, device=timestep.device) / (dim // 2))
    angles = timestep[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def checkpoint_of(model: MotionDenoiser, weights: dict[str, Tensor], head: HeadRecord, curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given (averaged) weights."""
    buffers = arrays_of_weights(dict(model.named_buffers()))
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, head, curves)


def load_motion_denoiser(
    path: Path, device: torch.device | str = "cpu", *, speech_encoder: Path | None = None
) -> tuple[MotionDenoiser, HeadRecord]:
    """Reads a trained denoiser, and the head that its motion plays on.

    Args:
        speech_encoder: the `transformers` folder that it was trained with; None for a model with an encoder of its own.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration; a folder that is missing, or
            is not the one it was trained with.
    """
    checkpoint = read_checkpoint(path, "thunder.diffusion")
    config = MotionDenoiserConfig.resolve(options=checkpoint.config)
    model = MotionDenoiser(config, load_folder_of(config, path, speech_encoder, device))
    load_weights(model, checkpoint.weights | checkpoint.normalisation, path)
    return model.to(device).eval().requires_grad_(False), checkpoint.required_head
