"""A user's own speech model as an encoder: wav2vec 2.0, HuBERT or WavLM from a local `transformers` folder.

A folder holds config.json, model.safetensors or pytorch_model.bin and, as a rule, preprocessor_config.json. Everything is
read from it and nothing else: no name is looked up and nothing is downloaded.

Source: Baevski et al., "wav2vec 2.0", 2020; Hsu et al., "HuBERT", 2021; Chen et al., "WavLM", 2022.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from stages.runtime.errors import ThunderError
from stages.runtime.provenance import sha256_of_file

FEATURE_RATE_HZ = 50
# Choi et al. cluster HuBERT's sixth layer.
DEFAULT_LAYER = 6
HOP_SAMPLES = 320
_MODEL_CLASSES = {"wav2vec2": "Wav2Vec2Model", "hubert": "HubertModel", "wavlm": "WavLMModel"}
_CONFIG, _PREPROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# The convolutions make 512 values of every five samples; five seconds of that are 33 MB.
_PIECE_FRAMES = 250
# Attention over a whole recording would grow with the square of its length, and these models were trained on less than
# half a minute: what is longer is read in windows, of which the frames near a cut serve as context alone.
_WINDOW_FRAMES, _CONTEXT_FRAMES = 1500, 250


class PretrainedSpeech(nn.Module):
    """Features of speech at 50 Hz from one layer of a pretrained network; frozen until it is thawed.

    Frame i stands at i / 50 s: half a reach (200 samples) of silence goes before the sound, so that the middle of the 25 ms
    that frame i is made of lies at sample 320 i - 0.5. Without that it would lie 12.5 ms late.

    Attributes:
        kind: `wav2vec2`, `hubert` or `wavlm`.
        layer: the transformer layer whose output the features are, from 1; of the last one, after the final norm.
        dim: C, their number.
        identity: SHA-256 of the folder's weights and configuration.
    """

    network: Any  # `transformers` builds its networks' attributes at run time

    def __init__(self, network: Any, *, kind: str, layer: int, normalise: bool, identity: str) -> None:
        super().__init__()
        self.network = network
        self.kind, self.layer, self.identity = kind, layer, identity
        self.dim: int = network.config.hidden_size
        self._normalise = normalise
        self._reach = _reach_of(network.config.conv_kernel, network.config.conv_stride)
        self._thawed = False
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    def forward(self, waveform: Tensor) -> Tensor:
        """Features of short stretches of speech, all at once and differentiable.

        Args:
            waveform: (B, S) in [-1, 1], 16 kHz; each item is brought to zero mean and unit variance where the folder's
                preprocessor_config.json asks for it.

        Returns:
            (B, n, C), n = S // 320.
        """
        num_frames = waveform.shape[-1] // HOP_SAMPLES
        if num_frames == 0:
            return waveform.new_zeros(len(waveform), 0, self.dim)
        return self.network(self._prepare(waveform)).last_hidden_state

    @torch.no_grad()
    def features_of(self, waveform: Tensor) -> Tensor:
        """Features of a recording of any length, in memory that hardly grows with it.

        The convolutions, and the statistics over time that some of them normalise by, are those of the whole recording;
        attention sees 30 s at a time, at least 5 s of it to either side of every cut.

        Args:
            waveform: (S,) as in `forward`.

        Returns:
            (n, C), n = S // 320; up to 30 s the same as `forward` gives.
        """
        num_frames = len(waveform) // HOP_SAMPLES
        if num_frames == 0:
            return waveform.new_zeros(0, self.dim)
        heard = self._convolve(self._prepare(waveform[None]), num_frames)  # (1, n, C')
        return self._contextualise_all(heard)

    def thaw(self) -> Self:
        """Lets training change the transformer; the convolutions stay as they were pretrained (Baevski et al., 4.2)."""
        self._thawed = True
        self.requires_grad_(True)
        self.network.feature_extractor.requires_grad_(False)
        return self.train()

    def train(self, mode: bool = True) -> Self:
        """What is frozen has no dropout, whatever the model around it does."""
        super().train(mode and self._thawed)
        self.network.feature_extractor.eval()
        return self

    def _prepare(self, waveform: Tensor) -> Tensor:
        """The samples (B, reach + 320 (n - 1)) that n frames are made of, the first of them around sample 0."""
        if self._normalise:
            waveform = self._standardise(waveform)
        num_samples = self._reach + (waveform.shape[-1] // HOP_SAMPLES - 1) * HOP_SAMPLES
        before = self._reach // 2
        return nn.functional.pad(waveform, (before, num_samples - before - waveform.shape[-1]))

    @staticmethod
    def _standardise(waveform: Tensor) -> Tensor:
        mean, variance = waveform.mean(-1, keepdim=True), waveform.var(-1, correction=0, keepdim=True)
        return (waveform - mean) / (variance + 1e-7).sqrt()  # 1e-7 as `transformers` adds

    def _convolve(self, prepared: Tensor, num_frames: int) -> Tensor:
        """The convolutions' output (1, n, C'), piece by piece, equal to that of the whole."""
        first, *others = self.network.feature_extractor.conv_layers
        moments = _moments_over_time(first.conv, prepared) if isinstance(first.layer_norm, nn.GroupNorm) else None
        pieces = []
        for start in range(0, num_frames, _PIECE_FRAMES):
            stop = min(start + _PIECE_FRAMES, num_frames)
            x = prepared[:, None, start * HOP_SAMPLES : (stop - 1) * HOP_SAMPLES + self._reach]
            x = first(x) if moments is None else _first_by_moments(first, x, *moments)
            for layer in others:
                x = layer(x)
            pieces.append(x.transpose(1, 2))
        return torch.cat(pieces, dim=1)

    def _contextualise_all(self, heard: Tensor) -> Tensor:
        """What the transformer makes of convolved features (1, n, C') of any length, window by window: (n, C)."""
        num_frames = heard.shape[1]
        if num_frames <= _WINDOW_FRAMES:
            return self._contextualise(heard)[0]
        kept = _WINDOW_FRAMES - 2 * _CONTEXT_FRAMES
        kept = math.ceil(num_frames / math.ceil(num_frames / kept))  # windows of one size, not a short one at the end
        pieces = []
        for first in range(0, num_frames, kept):
            start = max(first - _CONTEXT_FRAMES, 0)
            window = self._contextualise(heard[:, start : first + kept + _CONTEXT_FRAMES])[0]
            pieces.append(window[first - start : first - start + kept])
        return torch.cat(pieces)

    def _contextualise(self, heard: Tensor) -> Tensor:
        projected = self.network.feature_projection(heard)
        projected = projected[0] if isinstance(projected, tuple) else projected
        return self.network.encoder(projected).last_hidden_state


def load_pretrained(
    folder: Path, *, layer: int | None = None, device: torch.device | str = "cpu", option: str = "--hubert"
) -> PretrainedSpeech:
    """Reads a folder that `save_pretrained` of `transformers` wrote, or that was downloaded whole.

    Args:
        layer: from 1; the network above it is not even loaded. None is the sixth.
        option: which the folder was given with, for messages.

    Raises:
        ThunderError: `transformers` is not installed; the folder lacks a file, is of another architecture or sampling
            rate, has no such layer, or its weights are truncated or incomplete.
    """
    layer = DEFAULT_LAYER if layer is None else layer
    weights_path = _weights_of(folder, option)
    config = _read_json(folder / _CONFIG)
    preprocessor = _read_json(folder / _PREPROCESSOR) if (folder / _PREPROCESSOR).exists() else {}
    kind = config.get("model_type")
    if kind not in _MODEL_CLASSES:
        raise ThunderError(
            f"{folder / _CONFIG}: wanted model_type {', '.join(_MODEL_CLASSES)}, found {kind!r}; "
            f"give {option} the folder of such a model"
        )
    rate = preprocessor.get("sampling_rate", 16_000)
    if rate != 16_000:
        raise ThunderError(f"{folder / _PREPROCESSOR}: wanted sampling_rate 16000, found {rate}; give another {option}")
    network = _build(folder / _CONFIG, config, kind, layer)
    _load_weights(network, weights_path)
    # `transformers` takes a missing do_normalize, or a missing file, for yes.
    normalise = bool(preprocessor.get("do_normalize", True))
    identity = identity_of(folder, option=option)
    return PretrainedSpeech(network, kind=kind, layer=layer, normalise=normalise, identity=identity).to(device)


def num_layers_of(folder: Path, *, option: str = "--hubert") -> int:
    """How many transformer layers the network in a folder has.

    Raises:
        ThunderError: a file is missing, or does not say.
    """
    _weights_of(folder, option)
    found = _read_json(folder / _CONFIG).get("num_hidden_layers", 12)  # what `transformers` takes where it is not said
    if not isinstance(found, int):
        raise ThunderError(f"{folder / _CONFIG}: wanted a number of layers, found {found!r}; download the folder again")
    return found


def identity_of(folder: Path, *, option: str = "--hubert") -> str:
    """SHA-256 over the SHA-256 of each file that decides the features: weights, config.json, preprocessor_config.json.

    Raises:
        ThunderError: a file is missing.
    """
    weights = _weights_of(folder, option)
    paths = [path for path in (folder / _CONFIG, folder / _PREPROCESSOR, weights) if path.exists()]
    return hashlib.sha256("\n".join(f"{path.name} {sha256_of_file(path)}" for path in paths).encode()).hexdigest()


def _weights_of(folder: Path, option: str) -> Path:
    """The weights file, after a look whether the folder is whole."""
    if not folder.is_dir():
        raise ThunderError(
            f"{folder}: no such folder; {option} wants one on this machine with {_CONFIG} and {_WEIGHTS[0]} or "
            f"{_WEIGHTS[1]}, nothing is downloaded"
        )
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not (folder / _CONFIG).is_file() or not found:
        lacking = f"neither {_WEIGHTS[0]} nor {_WEIGHTS[1]}" if (folder / _CONFIG).is_file() else f"no {_CONFIG}"
        raise ThunderError(f"{folder}: incomplete, {lacking} in it; download or copy the whole folder again")
    return found[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ThunderError(f"{path}: not readable as JSON; download or copy the folder again") from error
    if not isinstance(value, dict):
        raise ThunderError(f"{path}: wanted a JSON object, found {type(value).__name__}; download the folder again")
    return value


def _build(path: Path, config: dict[str, Any], kind: str, layer: int) -> Any:
    """The network up to `layer`, without storage for its weights."""
    try:
        import transformers
    except ImportError as error:
        raise ThunderError(
            f"{path.parent}: reading it needs the package transformers; "
            f"install it with `pip install 'thunder-talking-heads[pretrained]'`"
        ) from error
    model_class = getattr(transformers, _MODEL_CLASSES[kind])
    # Masking and skipping of layers belong to pretraining; adapters would thin out the frames.
    ours = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0, "add_adapter": False}
    try:
        whole = model_class.config_class.from_dict(config | ours)
        num_layers = int(whole.num_hidden_layers)
        hop = math.prod(whole.conv_stride)
        whole.num_hidden_layers = min(max(layer, 1), num_layers)
        with torch.device("meta"):
            network = model_class(whole)
    except Exception as error:  # whatever it stumbles over, the cause is what the user's file says
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ThunderError(f"{path}: does not describe a {kind} network ({reason}); download it again") from error
    if not 1 <= layer <= num_layers:
        raise ThunderError(f"{path}: wanted layer {layer}, found layers 1 to {num_layers}; choose one of them")
    if hop != HOP_SAMPLES:
        raise ThunderError(f"{path}: wanted one frame in {HOP_SAMPLES} samples (50 Hz), found one in {hop}")
    if whole.do_stable_layer_norm and layer < num_layers:
        # The last norm belongs after the last layer; those below are read as they are.
        network.encoder.layer_norm = nn.Identity()
    return network


def _load_weights(network: Any, path: Path) -> None:
    wanted = network.state_dict()
    prefix = f"{network.base_model_prefix}."
    # Models with a head on top keep the network under its name; older files name the weight norm in the older way.
    renamed = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
    found: dict[str, Tensor] = {}
    for stored, value in _read_weights(path).items():
        name = stored.removeprefix(prefix)
        for old, new in renamed.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name in wanted:
            found[name] = value.float() if value.is_floating_point() else value
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ThunderError(
            f"{path}: lacks {', '.join(missing[:3])}{more} of {len(wanted)} parameters; download the whole folder again"
        )
    for name, value in found.items():
        if value.shape != wanted[name].shape:
            raise ThunderError(
                f"{path}: {name} is of shape {tuple(value.shape)}, {_CONFIG} says {tuple(wanted[name].shape)}; "
                f"they are not of one model, download the whole folder again"
            )
        if not value.isfinite().all():
            raise ThunderError(f"{path}: {name} has values that are not finite; download the whole folder again")
    network.load_state_dict(found, assign=True)


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever it stumbles over, the cause is what is in the user's file
        raise ThunderError(
            f"{path}: truncated or not a file of weights ({path.stat().st_size} bytes); download or copy it again"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ThunderError(f"{path}: wanted named tensors and nothing else; download or copy it again")
    return weights


def _reach_of(kernels: list[int], strides: list[int]) -> int:
    """How many samples one frame is made of."""
    reach = hop = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        reach += (kernel - 1) * hop
        hop *= stride
    return reach


def _moments_over_time(convolution: nn.Conv1d, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C, 1) over time of what a convolution makes of (1, S'), measured piece by piece."""
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    num_frames = (samples.shape[-1] - kernel) // stride + 1
    piece = _PIECE_FRAMES * HOP_SAMPLES // stride
    total = squares = torch.zeros((), dtype=torch.double)
    for start in range(0, num_frames, piece):
        stop = min(start + piece, num_frames)
        x = convolution(samples[:, None, start * stride : (stop - 1) * stride + kernel])[0]  # (C, m)
        mean, variance = x.mean(-1).cpu().double(), x.var(-1, correction=0).cpu().double()
        total, squares = total + (stop - start) * mean, squares + (stop - start) * (variance + mean.square())
    mean = total / num_frames
    moments = torch.stack([mean, squares / num_frames - mean.square()])[..., None].float().to(samples.device)
    return moments[0], moments[1]


def _first_by_moments(layer: Any, samples: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """A convolution with a group norm of one channel a group, by moments (C, 1) that were measured elsewhere."""
    norm = layer.layer_norm
    x = (layer.conv(samples) - mean) * (variance + norm.eps).rsqrt()
    return layer.activation(x * norm.weight[:, None] + norm.bias[:, None])
