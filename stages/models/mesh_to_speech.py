"""Mesh-to-speech (M2S): what a moving face says, as speech units at 50 Hz and a log-mel spectrogram at 100 Hz.

Source: THUNDER (Daněček et al., 2025) after Choi, Kim, Ro, "Intelligible Lip-to-Speech Synthesis with Speech Units",
Interspeech 2023: features are brought to 50 Hz, a conformer reads them, one head names the unit, another draws the mel
with the help of a speaker embedding. Three inputs: `mouth2s` (mouth vertices), `face2s` (all vertices), `exp2s` (motion
features). Vertices enter as displacements from the subject's template and without head pose: nodding is not speech.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.artifacts.head_record import HeadRecord
from stages.audio.log_mel import HOP_SAMPLES, NUM_BANDS
from stages.audio.pretrained import PretrainedSpeech, identity_of, load_pretrained
from stages.audio.speech_units import NUM_UNIT_FEATURES, UNIT_RATE_HZ, assign_units, unit_features
from stages.heads.head import Head, region_indices, rotation_features
from stages.models.conformer import Conformer
from stages.models.precision import full_precision
from stages.models.resampling import change_rate
from stages.models.speaker_encoder import SpeakerEncoder
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.config import Config
from stages.runtime.errors import ThunderError

MelInput = Literal["mouth2s", "face2s", "exp2s"]


class MeshToSpeechConfig(Config):
    """The numbers that rebuild the network.

    Attributes:
        input: what the model sees of the face.
        input_size: number of values a frame.
        voice_dim: width of the speaker embedding.
        unit_encoder: whose features the speech units are clusters of: `cepstra` (ours), or the kind of a user's folder,
            with its layer, the number of its features and its SHA-256 in `unit_layer`, `unit_features`, `unit_folder`.
    """

    input: MelInput = "mouth2s"
    input_size: int
    dim: int = 512
    num_layers: int = 12
    num_heads: int = 8
    kernel: int = 31
    dropout: float = 0.1
    num_units: int = 200
    voice_dim: int = 256
    unit_encoder: Literal["cepstra", "wav2vec2", "hubert", "wavlm"] = "cepstra"
    unit_layer: int = 0
    unit_features: int = NUM_UNIT_FEATURES
    unit_folder: str = ""

    @property
    def unit_source(self) -> str:
        """What the speech units are clusters of, in words."""
        if self.unit_encoder == "cepstra":
            return "mel cepstra"
        return f"layer {self.unit_layer} of a {self.unit_encoder} folder of SHA-256 {self.unit_folder[:12]}"


class SpeechEstimate(NamedTuple):
    """What the model hears.

    Attributes:
        log_mel: (B, L, 80), 100 Hz, normalised by the model's statistics.
        unit_logits: (B, L / 2, K), 50 Hz.
        features: (B, L / 2, dim), the conformer's output.
    """

    log_mel: Tensor
    unit_logits: Tensor
    features: Tensor


class MeshToSpeech(nn.Module):
    """The network, with the statistics it normalises by and the centroids that name its units."""

    vertex_indices: Tensor
    input_mean: Tensor
    input_scale: Tensor
    mel_mean: Tensor
    mel_scale: Tensor
    centroids: Tensor

    def __init__(self, config: MeshToSpeechConfig) -> None:
        super().__init__()
        self.config = config
        self.encode = nn.Sequential(nn.Linear(config.input_size, config.dim), nn.LayerNorm(config.dim))
        self.conformer = Conformer(
            config.dim, config.num_layers, num_heads=config.num_heads, kernel=config.kernel, dropout=config.dropout
        )
        self.to_units = nn.Linear(config.dim, config.num_units)
        self.describe_voice = SpeakerEncoder(config.voice_dim)  # normalised mel (B, L, 80) -> (B, voice_dim)
        self.mel_head = MelHead(config.dim + config.voice_dim, config.dim, config.dropout)
        num_indices = config.input_size // 3 if config.input != "exp2s" else 0
        self.register_buffer("vertex_indices", torch.zeros(num_indices, dtype=torch.long))
        self.register_buffer("input_mean", torch.zeros(config.input_size))
        self.register_buffer("input_scale", torch.ones(config.input_size))
        self.register_buffer("mel_mean", torch.zeros(NUM_BANDS))
        self.register_buffer("mel_scale", torch.ones(NUM_BANDS))
        self.register_buffer("centroids", torch.zeros(config.num_units, config.unit_features))
        # In a tuple, so that the user's network is no part of what is trained and saved.
        self._unit_encoder: tuple[PretrainedSpeech, ...] = ()

    def forward(self, visible: Tensor, fps: float, num_mel_frames: int, voice: Tensor | None = None) -> SpeechEstimate:
        """Hears a motion.

        Args:
            visible: (B, T, input_size) from `look_at`.
            fps: of `visible`.
            num_mel_frames: L, even; how much to hear, from the first frame on.
            voice: (B, voice_dim) from `describe_voice`; None leaves the voice open.
        """
        x = self.encode((visible - self.input_mean) / self.input_scale)  # (B, T, dim)
        x = change_rate(x, fps, UNIT_RATE_HZ, num_mel_frames // 2)  # (B, L / 2, dim)
        x = self.conformer(x)
        # An open voice is the zeros that training tells now and then, so that the model knows it.
        voice = x.new_zeros(len(x), self.config.voice_dim) if voice is None else voice.to(x.dtype)
        mel = self.mel_head(torch.cat([x, voice[:, None].expand(-1, x.shape[1], -1)], dim=-1))  # (B, L, 80)
        return SpeechEstimate(mel, self.to_units(x), x)

    def normalise_mel(self, log_mel: Tensor) -> Tensor:
        """A log-mel spectrogram in the model's scale."""
        return (log_mel - self.mel_mean) / self.mel_scale

    def restore_mel(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise_mel`."""
        return normalised * self.mel_scale + self.mel_mean

    def name_units_by(self, encoder: PretrainedSpeech) -> None:
        """Hands the model the user's network that its speech units are clusters of."""
        self._unit_encoder = (encoder,)

    def name_units(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Which speech units a recording says; arguments as of `unit_features_of`.

        Returns:
            (L // 2,) int64, 50 Hz, on the model's device.
        """
        return assign_units(self.unit_features_of(waveform, log_mel), self.centroids)

    def unit_features_of(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Features of a whole recording that speech units are clusters of.

        Args:
            waveform: (S,) i16, 16 kHz.
            log_mel: (L, 80) of it, as `speech_log_mel` gives, which silence may follow.

        Returns:
            (L // 2, C), 50 Hz, on the model's device.
        """
        device = self.centroids.device
        if self.config.unit_encoder == "cepstra":
            return unit_features(log_mel.to(device))
        (encoder,) = self._unit_encoder
        num_samples = len(log_mel) // 2 * 2 * HOP_SAMPLES
        samples = nn.functional.pad(waveform.float() / 32768, (0, num_samples - len(waveform)))
        return encoder.features_of(samples.to(encoder.device)).to(device)


class MelHead(nn.Module):
    """Three convolutions over time, then two mel frames for every 50 Hz frame."""

    def __init__(self, dim_in: int, dim: int, dropout: float) -> None:
        super().__init__()
        dims = (dim_in, dim, dim, dim)
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in pairwise(dims))
        self.activate = nn.Sequential(nn.GELU(), nn.Dropout(dropout))
        self.out = nn.Linear(dim, 2 * NUM_BANDS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, dim_in) -> (B, 2 n, 80)."""
        x = x.transpose(1, 2)
        for convolution in self.convolutions:
            x = self.activate(convolution(x))
        return self.out(x.transpose(1, 2)).reshape(len(x), -1, NUM_BANDS)


def look_at(model: MeshToSpeech, head: Head, motion: Tensor) -> Tensor:
    """What the model sees of a motion: displacements of its vertices, in head units, or motion features.

    Args:
        motion: (B, T, D), not normalised.

    Returns:
        (B, T, input_size), differentiable with respect to `motion`.
    """
    if model.config.input == "exp2s":
        return motion[..., : _num_expression_features(head.record)]
    with full_precision(motion.device):
        motion = motion.float()
        # Shapes add to whatever template a subject has, so displacements are the same from any; those of a FLAME jaw are but
        # for where a subject's joints lie, and the head's own face stands for all there.
        rest = head.vertices(torch.zeros_like(motion[:1, :1]), indices=model.vertex_indices, pose=False)
        vertices = head.vertices(motion, indices=model.vertex_indices, pose=False)  # (B, T, M, 3)
        return (vertices - rest).flatten(-2)


def visible_size(record: HeadRecord, kind: MelInput) -> tuple[int, Tensor]:
    """Values a frame, and the vertex indices (M,) that the input kind reads.

    Raises:
        ThunderError: `mouth2s` of a head without a `mouth` region.
    """
    if kind == "exp2s":
        return _num_expression_features(record), torch.zeros(0, dtype=torch.long)
    if kind == "mouth2s" and not len(record.regions.get("mouth", ())):
        raise ThunderError(
            f"head {record.name}: mouth2s wanted a region 'mouth', found {', '.join(record.regions) or 'no region'}; "
            f"preprocess the corpus again, which marks it, or use --input face2s or exp2s"
        )
    indices = region_indices(record, "mouth") if kind == "mouth2s" else torch.arange(len(record.template))
    return 3 * len(indices), indices


def _num_expression_features(record: HeadRecord) -> int:
    return len(record.features) - len(rotation_features(record))


def checkpoint_of(model: MeshToSpeech, weights: dict[str, Tensor], head: HeadRecord, curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given (averaged) weights."""
    buffers = {name: buffer.cpu().numpy() for name, buffer in model.named_buffers()}
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, head.without("colours"), curves)


def load_mesh_to_speech(
    path: Path, device: torch.device | str = "cpu", *, hubert: Path | None = None, names_units: bool = True
) -> tuple[MeshToSpeech, HeadRecord]:
    """Reads a frozen model, and the head whose topology it was trained on.

    Args:
        hubert: the `transformers` folder that its speech units are made of; None for a model that has units of ours.
        names_units: whether the units of recordings will be asked for; without, no folder is needed.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration; a folder that is missing, or
            is not the one the model was trained with.
    """
    checkpoint = read_checkpoint(path, "thunder.m2s")
    model = MeshToSpeech(MeshToSpeechConfig.resolve(options=checkpoint.config))
    load_weights(model, checkpoint.weights | checkpoint.normalisation, path)
    if names_units:
        _hand_over(model, path, hubert, device)
    return model.to(device).eval().requires_grad_(False), checkpoint.required_head


def _hand_over(model: MeshToSpeech, path: Path, hubert: Path | None, device: torch.device | str) -> None:
    """Gives a model the folder that it names units by, and refuses any other."""
    config = model.config
    if config.unit_encoder == "cepstra":
        if hubert is not None:
            raise ThunderError(f"{path}: its speech units are not made of a folder; leave out --hubert {hubert}")
        return
    if hubert is None:
        raise ThunderError(
            f"{path}: its speech units are made of {config.unit_source}; give that folder with --hubert FOLDER"
        )
    found = identity_of(hubert)
    if found != config.unit_folder:
        raise ThunderError(
            f"{hubert}: wanted {config.unit_source}, of which the speech units of {path} are made, found {found[:12]}; "
            f"give the folder it was trained with"
        )
    model.name_units_by(load_pretrained(hubert, layer=config.unit_layer, device=device))


def check_same_face(model_head: HeadRecord, head: HeadRecord, kind: MelInput, path: Path) -> None:
    """Refuses motion of a head that the model was not trained on.

    Raises:
        ThunderError: the vertices (or, for `exp2s`, the features) do not correspond.
    """
    fingerprint = "motion_fingerprint" if kind == "exp2s" else "fingerprint"
    if getattr(model_head, fingerprint) != getattr(head, fingerprint):
        raise ThunderError(
            f"{path}: trained on head {model_head.name} ({model_head.fingerprint}), found motion of head {head.name} "
            f"({head.fingerprint}); train one on this head with `thunder train-m2s`"
        )
