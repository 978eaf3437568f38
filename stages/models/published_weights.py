"""Published checkpoints of FaceFormer and CodeTalker: read without running code, checked name by name, and the decoder and the
output layer that both have, as this toolkit's."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from stages.audio.pretrained import PretrainedSpeech
from stages.models.autoregressive import periodic_positions
from stages.runtime.errors import ThunderError

# Period of the positions -> whose reading of speech, and the rate of the motion: the two that were published.
PUBLISHED: dict[int, tuple[Literal["vocaset", "biwi"], float]] = {30: ("vocaset", 30.0), 25: ("biwi", 25.0)}
NUM_HEADS = 4
# Ours -> theirs, within a layer of the decoder.
_LAYER = {
    "look_back.weight": "self_attn.in_proj_weight",
    "look_back.bias": "self_attn.in_proj_bias",
    "looked_back": "self_attn.out_proj",
    "listened": "multihead_attn.out_proj",
    "feed_forward.0": "linear1",
    "feed_forward.3": "linear2",
    "norms.0": "norm1",
    "norms.1": "norm2",
    "norms.2": "norm3",
}
_AUDIO = "audio_encoder."
_POSITIONS = "PPE.pe"
# In files of older versions of `transformers`.
_OLD_NAMES = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
# Has a part in pretraining alone.
_UNUSED = frozenset({f"{_AUDIO}masked_spec_embed"})


def read_published_weights(path: Path) -> dict[str, Tensor]:
    """Named tensors of a `.pth` file, in which no code is run, under the names that `transformers` uses today.

    Raises:
        ThunderError: not such a file, or one that holds anything else.
    """
    if not path.is_file():
        raise ThunderError(f"{path}: no such file, wanted published weights (.pth)")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever it stumbles over, the cause is what is in the user's file
        raise ThunderError(f"{path}: {_why_unreadable(path)}") from error
    if isinstance(found, dict) and list(found) == ["state_dict"]:
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ThunderError(f"{path}: wanted named tensors and nothing else; download or copy it again")
    return {_modern(name): value.float() for name, value in found.items() if name not in _UNUSED}


def _why_unreadable(path: Path) -> str:
    """What is wrong with a file that does not load, and what to do."""
    size = f"{path.stat().st_size} bytes"
    with path.open("rb") as file:
        beginning = file.read(4)
    if beginning == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile:
            return f"truncated ({size}); download it again"
        if not any(name.endswith("/data.pkl") for name in names):
            return "is a zip archive, but no PyTorch checkpoint; unpack it, and give the weights (.pth) that are in it"
        return f"damaged ({size}), or holds more than tensors, which is not loaded; give published weights (.pth)"
    if beginning[:1] == b"\x80":  # older checkpoints are pickles
        return f"truncated ({size}), or holds more than tensors, which is not loaded; give published weights (.pth)"
    return f"is no PyTorch checkpoint ({size}); wanted published weights (.pth)"


def _modern(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.startswith(_AUDIO) and name.endswith(old):
            return name.removesuffix(old) + new
    return name


def count_layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    """How many different numbers follow a prefix; at least one, so that a missing one is named."""
    return max(1, len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)}))


def shared_shapes(weights: Mapping[str, Tensor], dim: int, num_values: int, network: PretrainedSpeech) -> dict:
    """Names and shapes, but for that of the positions, of what both architectures have: speech, motion, the decoder."""
    shapes: dict[str, tuple[int, ...]] = {
        "audio_feature_map.weight": (dim, network.dim),
        "audio_feature_map.bias": (dim,),
        "vertice_map.weight": (dim, num_values),
        "vertice_map.bias": (dim,),
    }
    for layer in range(count_layers(weights, "transformer_decoder.layers.")):
        there = f"transformer_decoder.layers.{layer}."
        for attention in ("self_attn", "multihead_attn"):
            shapes |= {
                f"{there}{attention}.in_proj_weight": (3 * dim, dim),
                f"{there}{attention}.in_proj_bias": (3 * dim,),
                f"{there}{attention}.out_proj.weight": (dim, dim),
                f"{there}{attention}.out_proj.bias": (dim,),
            }
        shapes |= {
            f"{there}linear1.weight": (2 * dim, dim),
            f"{there}linear1.bias": (2 * dim,),
            f"{there}linear2.weight": (dim, 2 * dim),
            f"{there}linear2.bias": (dim,),
        }
        shapes |= {f"{there}norm{k}.{end}": (dim,) for k in (1, 2, 3) for end in ("weight", "bias")}
    return shapes | {f"{_AUDIO}{name}": tuple(v.shape) for name, v in network.network.state_dict().items()}


def check_names(weights: Mapping[str, Tensor], wanted: set[str], model: str, path: Path) -> None:
    """Names the first of those that are missing or too many.

    Raises:
        ThunderError: there are some.
    """
    wanted = wanted | {_POSITIONS}
    missing, unknown = sorted(wanted - weights.keys()), sorted(weights.keys() - wanted)
    if missing or unknown:
        said = [f"lacks {', '.join(missing[:3])}"] if missing else []
        said += [f"has {', '.join(unknown[:3])} besides"] if unknown else []
        raise ThunderError(
            f"{path}: not a {model} checkpoint with this wav2vec 2.0 folder: {'; '.join(said)} "
            f"({len(missing)} missing, {len(unknown)} unknown of {len(wanted)}); check which model and folder these are"
        )


def check_shapes(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple], path: Path) -> None:
    """Names the first one that is of another shape, or not a number everywhere.

    Raises:
        ThunderError: there is one.
    """
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise ThunderError(f"{path}: {name} wanted shape {shape}, found {tuple(weights[name].shape)}")
        if not weights[name].isfinite().all():
            raise ThunderError(f"{path}: {name} has values that are not finite; download it again")


def check_surface(weights: Mapping[str, Tensor], num_vertices: int, head_name: str, path: Path) -> None:
    """Refuses weights for another mesh.

    Raises:
        ThunderError: they are.
    """
    num_values = weights["vertice_map.weight"].shape[-1]
    if num_values != 3 * num_vertices:
        raise ThunderError(
            f"{path}: animates {num_values / 3:g} vertices, head {head_name} has {num_vertices}; "
            f"give a dataset of the corpus it was trained on"
        )


def period_of(weights: Mapping[str, Tensor], dim: int, path: Path) -> int:
    """The period of the stored table of positions (1, 600 or more, dim).

    Raises:
        ThunderError: it is not that of a published model.
    """
    table = weights[_POSITIONS]
    for period in PUBLISHED:
        if table.shape[0] == 1 and table.shape[1:] == (600 // period * period + period, dim):
            expected = periodic_positions(table.shape[1], period, dim)
            if torch.allclose(table[0], expected, atol=1e-5):
                return period
    raise ThunderError(
        f"{path}: {_POSITIONS} of shape {tuple(table.shape)} is no table of period 30 (VOCASET) or 25 (BIWI), the "
        f"published ones"
    )


def shared_weights(weights: Mapping[str, Tensor], basis: Tensor) -> dict[str, Tensor]:
    """Speech, motion on a basis (K, 3V), and the decoder, under this toolkit's names."""
    dim = len(weights["vertice_map.weight"])
    ours = {
        "embed_speech.weight": weights["audio_feature_map.weight"],
        "embed_speech.bias": weights["audio_feature_map.bias"],
        "embed_motion.weight": on_basis(weights["vertice_map.weight"], basis),
        "embed_motion.bias": weights["vertice_map.bias"],
        "motion_mean": torch.zeros(len(basis)),
        "motion_scale": torch.ones(len(basis)),
    }
    for layer in range(count_layers(weights, "transformer_decoder.layers.")):
        here, there = f"blocks.{layer}.", f"transformer_decoder.layers.{layer}."
        for name, published in _LAYER.items():
            for end in ("",) if name.startswith("look_back") else (".weight", ".bias"):
                ours[f"{here}{name}{end}"] = weights[f"{there}{published}{end}"]
        for end in ("weight", "bias"):
            ask, listen = weights[f"{there}multihead_attn.in_proj_{end}"].split([dim, 2 * dim])
            ours |= {f"{here}ask.{end}": ask, f"{here}listen.{end}": listen}
    return ours | {
        f"speech_encoder.network.{name.removeprefix(_AUDIO)}": value
        for name, value in weights.items()
        if name.startswith(_AUDIO)
    }


def on_basis(weight: Tensor, basis: Tensor) -> Tensor:
    """A layer (C, 3V) that reads displacements, as one (C, K) that reads their coordinates in a basis (K, 3V)."""
    return (weight.double() @ basis.double().T).float()


def span_of(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """All that an output layer (3V, C), (3V,) can say.

    Returns:
        An orthonormal basis (K, 3V), K = C, or C + 1 with a bias; and the layer in its coordinates, (K, C) and (K,).
    """
    layer = weight.double() if bias is None else torch.cat([weight, bias[:, None]], dim=1).double()
    basis, values, rest = torch.linalg.svd(layer, full_matrices=False)
    # A singular vector has no sign; the same checkpoint should give the same head on every machine.
    sign = basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
    inside = (values[:, None] * rest * sign.T).float()
    num_inputs = weight.shape[1]
    offset = inside.new_zeros(len(inside)) if bias is None else inside[:, num_inputs]
    return (basis * sign).T.float().contiguous(), inside[:, :num_inputs], offset


def names_of(subjects: Mapping[str, tuple[str, ...]], reading: str, number: int) -> tuple[str, ...]:
    """The speakers of a published training split, or numbers where the checkpoint has more or fewer."""
    names = subjects[reading]
    return names if len(names) == number else tuple(f"speaker{k + 1}" for k in range(number))
