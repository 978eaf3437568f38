"""A vocoder: from speech units, a log-mel spectrogram and a voice to sound.

Source: HiFi-GAN (Kong, Kim, Bae, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis", 2020), fed with units, mel and speaker as in Choi, Kim, Ro, Interspeech 2023, whose sizes are those of `paper`.
With `inverse_stft` the last stages of upsampling give way to an inverse Fourier transform (iSTFTNet: Kaneko, Tanaka, Kameoka,
Seki, "iSTFTNet: Fast and Lightweight Mel-Spectrogram Vocoder Incorporating Inverse Short-Time Fourier Transform", 2022).
"""

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.audio.log_mel import HOP_SAMPLES, MEL_RATE_HZ, NUM_BANDS
from stages.models.mesh_to_speech import MeshToSpeech
from stages.models.precision import full_precision
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.config import Config
from stages.runtime.errors import ThunderError

_SLOPE = 0.1  # of the leaky rectifiers
_OUTER_KERNEL = 7
# Windows of the inverse transform overlap by three quarters.
_OVERLAP = 4
# Speech is quiet: log-amplitudes begin near those of its bins, and stay below what no bin reaches.
_FIRST_LOG_AMPLITUDE, _MAX_LOG_AMPLITUDE = -4.0, 5.0
# Long speech is made in pieces, so that memory does not grow with it.
_PIECE_MEL_FRAMES = 10 * MEL_RATE_HZ


class VocoderConfig(Config):
    """The numbers that rebuild the generator.

    Attributes:
        num_units: K, of the mesh-to-speech model.
        voice_dim: width of that model's speaker embedding.
        unit_dim: width of the unit embedding, and of the voice's.
        channels: after the first convolution; every stage halves them.
        upsampling: factor of each stage; 1 makes a stage at the rate before it. Their product is 160, or, with
            `inverse_stft`, a divisor of 160 above which the inverse transform leads.
        kernels: one residual block each, in every stage; the blocks' outputs are averaged.
        dilations: of the convolutions in a residual block.
        inverse_stft: end in an inverse Fourier transform.
        ears: fingerprint of the mesh-to-speech model's units and voices, which mean nothing to another.
    """

    num_units: int
    voice_dim: int
    unit_dim: int = 128
    channels: int = 512
    upsampling: tuple[int, ...] = (5, 4, 2, 2, 2)
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)
    inverse_stft: bool = False
    ears: str = ""

    @model_validator(mode="after")
    def _check_rates(self) -> Self:
        factor = math.prod(self.upsampling)
        if HOP_SAMPLES % factor or (factor == HOP_SAMPLES) == self.inverse_stft:
            wanted = f"a proper divisor of {HOP_SAMPLES}" if self.inverse_stft else str(HOP_SAMPLES)
            raise ValueError(f"factors of upsampling multiply to {factor}, wanted {wanted}")
        if self.channels % 2 ** len(self.upsampling):
            raise ValueError(f"{self.channels} channels cannot be halved {len(self.upsampling)} times")
        return self


class Vocoder(nn.Module):
    """The generator, and the mel statistics it normalises by."""

    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_unit = nn.Embedding(config.num_units, config.unit_dim)
        self.embed_voice = nn.Linear(config.voice_dim, config.unit_dim)
        widths = [config.channels // 2**k for k in range(len(config.upsampling) + 1)]
        self.enter = _same(2 * config.unit_dim + NUM_BANDS, widths[0], _OUTER_KERNEL)
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(wide, narrow, 2 * u + u % 2, u, padding=(u + u % 2) // 2)
            for u, (wide, narrow) in zip(config.upsampling, pairwise(widths), strict=True)
        )
        self.blocks = nn.ModuleList(
            Average(ResidualBlock(width, kernel, config.dilations) for kernel in config.kernels) for width in widths[1:]
        )
        self.hop = HOP_SAMPLES // math.prod(config.upsampling)  # samples a frame of the last stage
        num_bins = _OVERLAP * self.hop // 2 + 1
        self.leave = _same(widths[-1], 2 * num_bins if config.inverse_stft else 1, _OUTER_KERNEL)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d) and module not in (self.enter, self.leave):
                nn.init.normal_(module.weight, 0.0, 0.01)
        if config.inverse_stft and self.leave.bias is not None:
            nn.init.constant_(self.leave.bias[:num_bins], _FIRST_LOG_AMPLITUDE)
        self.register_buffer("mel_mean", torch.zeros(NUM_BANDS))
        self.register_buffer("mel_scale", torch.ones(NUM_BANDS))

    def forward(self, log_mel: Tensor, units: Tensor, voice: Tensor) -> Tensor:
        """Speaks.

        Args:
            log_mel: (B, L, 80), natural logarithm, 100 Hz, L even.
            units: (B, L / 2), int64, 50 Hz.
            voice: (B, voice_dim) from the mesh-to-speech model; zeros leave it open.

        Returns:
            (B, L * 160), 16 kHz; sample 160 l belongs to mel frame l.
        """
        parts = (
            self.embed_unit(units).repeat_interleave(2, dim=1),
            (log_mel - self.mel_mean) / self.mel_scale,
            self.embed_voice(voice)[:, None].expand(-1, log_mel.shape[1], -1),
        )
        x = self.enter(torch.cat(parts, dim=-1).transpose(1, 2))  # (B, channels, L)
        for upsample, blocks in zip(self.upsample, self.blocks, strict=True):
            x = upsample(F.leaky_relu(x, _SLOPE))
            x = blocks(x)
        x = F.leaky_relu(x, _SLOPE)
        if not self.config.inverse_stft:
            return torch.tanh(self.leave(x))[:, 0].float()  # (B, L * 160)
        # Frame f is centred on sample f * hop; the last samples lie between the last frame and one more like it.
        x = F.pad(x, (0, 1), mode="replicate")
        with full_precision(x.device):  # phases in half of it would be noise
            return self._inverse_transform(self.leave(x.float()))  # (B, L * 160)

    def _inverse_transform(self, x: Tensor) -> Tensor:
        """(B, 2 * bins, frames + 1) of log-amplitudes and phases -> (B, frames * hop)."""
        log_amplitude, phase = x.chunk(2, dim=1)
        amplitude = log_amplitude.clamp_max(_MAX_LOG_AMPLITUDE).exp()
        size = _OVERLAP * self.hop
        window = torch.hann_window(size, device=x.device)
        return torch.istft(torch.polar(amplitude, phase), size, self.hop, window=window)

    @torch.no_grad()
    def speak(self, log_mel: Tensor, units: Tensor, voice: Tensor) -> Tensor:
        """`forward` of speech of any length, made piece by piece; the pieces meet without a seam."""
        reach, length = self.reach, log_mel.shape[1]
        pieces = []
        for start in range(0, length, _PIECE_MEL_FRAMES):
            stop = min(start + _PIECE_MEL_FRAMES, length)
            first, last = max(0, start - reach), min(stop + reach, length)
            sound = self(log_mel[:, first:last], units[:, first // 2 : (last + 1) // 2], voice)
            pieces.append(sound[:, (start - first) * HOP_SAMPLES : (stop - first) * HOP_SAMPLES])
        return torch.cat(pieces, dim=1) if pieces else log_mel.new_zeros(len(log_mel), 0)

    @property
    def reach(self) -> int:
        """Mel frames, even, to either side, beyond which nothing has a part in a sample."""
        config, rate = self.config, 1
        frames = float(_OUTER_KERNEL // 2)
        for factor in config.upsampling:
            frames += 1 / rate + 1 / rate
            rate *= factor
            frames += max((k // 2) * sum(d + 1 for d in config.dilations) for k in config.kernels) / rate
        frames += (_OUTER_KERNEL // 2 + (_OVERLAP if config.inverse_stft else 0)) / rate
        return 2 * math.ceil(frames / 2)


class Average(nn.ModuleList):
    """The mean of what several blocks make of the same."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, n) -> the same."""
        return torch.stack([block(x) for block in self]).mean(0)


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, each pair added to what it read (HiFi-GAN's block 1)."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(_same(width, width, kernel, dilation) for dilation in dilations)
        self.plain = nn.ModuleList(_same(width, width, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, n) -> the same."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


def _same(width_in: int, width_out: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    return nn.Conv1d(width_in, width_out, kernel, dilation=dilation, padding=kernel // 2 * dilation)


def add_weight_norm(network: nn.Module) -> None:
    """Separates length and direction of every convolution's weights, in place, for training.

    Source: Salimans, Kingma, "Weight Normalization", 2016.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            parametrizations.weight_norm(module)


@torch.no_grad()
def without_weight_norm(network: Vocoder) -> Vocoder:
    """A copy that computes the same with plain weights."""
    plain = Vocoder(network.config)
    for name, value in [*plain.named_parameters(), *plain.named_buffers()]:
        owner, _, leaf = name.rpartition(".")
        value.copy_(getattr(network.get_submodule(owner), leaf))
    return plain


def ears_fingerprint(model: MeshToSpeech) -> str:
    """Which units and voices a mesh-to-speech model speaks of: a hash of its centroids and of what describes a voice."""
    digest = hashlib.sha256()
    tensors = {"centroids": model.centroids, "mel_mean": model.mel_mean, "mel_scale": model.mel_scale}
    tensors |= dict(model.describe_voice.named_parameters())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()[:16]


def checkpoint_of(model: Vocoder, weights: dict[str, Tensor], curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given weights."""
    buffers = arrays_of_weights(dict(model.named_buffers()))
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, curves=curves)


def load_vocoder(path: Path, device: torch.device | str = "cpu") -> Vocoder:
    """Reads a frozen vocoder.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration.
    """
    checkpoint = read_checkpoint(path, "thunder.vocoder")
    model = Vocoder(VocoderConfig.resolve(options=checkpoint.config))
    load_weights(model, checkpoint.weights | checkpoint.normalisation, path)
    return model.to(device).eval().requires_grad_(False)


def check_same_ears(vocoder: Vocoder, model: MeshToSpeech, path: Path, m2s: Path) -> None:
    """Refuses the units and voices of another mesh-to-speech model than the vocoder was made with.

    Raises:
        ThunderError: the fingerprints differ.
    """
    found = ears_fingerprint(model)
    if vocoder.config.ears != found:
        raise ThunderError(
            f"{path}: speaks units and voices {vocoder.config.ears}, but {m2s} hears {found}; "
            f"train one with `thunder train-vocoder --m2s {m2s}`"
        )
