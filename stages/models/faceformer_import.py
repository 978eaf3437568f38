"""Published FaceFormer checkpoints (`vocaset.pth`, `biwi.pth`) as networks of this toolkit, with nothing lost.

Their output layer maps `dim` numbers to offsets of all vertices, so all that they can say lies in the span of its columns and
its bias. An orthonormal basis of that span is the head that motion plays on, and the coordinates in it are the motion
features: output layer and input layer are rewritten in these coordinates, and the vertices are the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.models.autoregressive import periodic_positions
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from stages.runtime.errors import ThunderError

# Period of the positions -> whose reading of speech, and the rate of the motion: the two that were published.
_PUBLISHED: dict[int, tuple[Literal["vocaset", "biwi"], float]] = {30: ("vocaset", 30.0), 25: ("biwi", 25.0)}
_NUM_HEADS = 4
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
    """Named tensors of a `.pth` file, in which no code is run.

    Raises:
        ThunderError: not such a file, or one that holds anything else.
    """
    if not path.is_file():
        raise ThunderError(f"{path}: no such file, wanted published weights (.pth)")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever it stumbles over, the cause is what is in the user's file
        raise ThunderError(
            f"{path}: truncated, or holds more than tensors ({path.stat().st_size} bytes); download it again"
        ) from error
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ThunderError(f"{path}: wanted named tensors and nothing else; download or copy it again")
    return found


def convert_faceformer(
    weights: dict[str, Tensor],
    surface: HeadRecord,
    network: PretrainedSpeech,
    subjects: Mapping[str, tuple[str, ...]],
    path: Path,
) -> tuple[FaceFormer, HeadRecord]:
    """The network of published weights and the head that its motion plays on.

    Args:
        weights: as read from `path`.
        surface: the head of a dataset of the same vertices, for topology, regions and landmarks.
        subjects: `vocaset` and `biwi` -> the speakers of its training split, in the order in which they are numbered; a
            checkpoint of another number of speakers has them numbered.
        network: wav2vec 2.0 up to its last layer, whose transformer gets the weights that were tuned with the animator.

    Raises:
        ThunderError: keys or shapes that are not those of FaceFormer; the first ones are named.
    """
    modern = {_modern(name): value.float() for name, value in weights.items() if name not in _UNUSED}
    _check_names(modern, network, path)
    dim, num_values = modern["vertice_map.weight"].shape
    if num_values != 3 * len(surface.template):
        raise ThunderError(
            f"{path}: animates {num_values / 3:g} vertices, head {surface.name} has {len(surface.template)}; "
            f"give a dataset of the corpus it was trained on"
        )
    _check_shapes(modern, dim, network, path)
    period = _period_of(modern[_POSITIONS], dim, path)
    reading, fps = _PUBLISHED[period]
    num_subjects, names = modern["obj_vector.weight"].shape[1], subjects[reading]
    basis, to_features = _span_of(modern["vertice_map_r.weight"], modern["vertice_map_r.bias"])
    model = FaceFormer(
        FaceFormerConfig(
            num_features=len(basis),
            fps=fps,
            subjects=names if len(names) == num_subjects else tuple(f"speaker{k + 1}" for k in range(num_subjects)),
            period=period,
            dim=dim,
            num_layers=_num_layers(modern),
            num_heads=_NUM_HEADS,
            encoder_dim=network.dim,
            speech_encoder="wav2vec2",
            folder_layer=network.layer,
            folder_sha256=network.identity,
            published=reading,
        ),
        network,
    )
    ours = {
        "embed_speech.weight": modern["audio_feature_map.weight"],
        "embed_speech.bias": modern["audio_feature_map.bias"],
        "embed_motion.weight": (modern["vertice_map.weight"].double() @ basis.double().T).float(),
        "embed_motion.bias": modern["vertice_map.bias"],
        "style.weight": modern["obj_vector.weight"],
        "out.weight": to_features[:, :-1],
        "out.bias": to_features[:, -1],
        "motion_mean": torch.zeros(len(basis)),
        "motion_scale": torch.ones(len(basis)),
    }
    for layer in range(model.config.num_layers):
        here, there = f"blocks.{layer}.", f"transformer_decoder.layers.{layer}."
        for name, published in _LAYER.items():
            for end in ("",) if name.startswith("look_back") else (".weight", ".bias"):
                ours[f"{here}{name}{end}"] = modern[f"{there}{published}{end}"]
        for end in ("weight", "bias"):
            ask, listen = modern[f"{there}multihead_attn.in_proj_{end}"].split([dim, 2 * dim])
            ours |= {f"{here}ask.{end}": ask, f"{here}listen.{end}": listen}
    ours |= {
        f"speech_encoder.network.{name.removeprefix(_AUDIO)}": value
        for name, value in modern.items()
        if name.startswith(_AUDIO)
    }
    model.load_state_dict(ours)
    head = replace(
        surface,
        kind="displacement",
        features=tuple(f"pc{k:03d}" for k in range(len(basis))),
        arrays={"basis": basis.unflatten(1, (-1, 3)).numpy()},
    )
    return model.eval(), head


def _modern(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.startswith(_AUDIO) and name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _num_layers(weights: dict[str, Tensor]) -> int:
    return len({name.split(".")[2] for name in weights if name.startswith("transformer_decoder.layers.")})


def _wanted_shapes(
    dim: int, num_values: int, num_subjects: int, num_layers: int, network: PretrainedSpeech
) -> dict[str, tuple]:
    shapes: dict[str, tuple] = {
        "audio_feature_map.weight": (dim, network.dim),
        "audio_feature_map.bias": (dim,),
        "vertice_map.weight": (dim, num_values),
        "vertice_map.bias": (dim,),
        "vertice_map_r.weight": (num_values, dim),
        "vertice_map_r.bias": (num_values,),
        "obj_vector.weight": (dim, num_subjects),
    }
    for layer in range(num_layers):
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


def _check_names(weights: dict[str, Tensor], network: PretrainedSpeech, path: Path) -> None:
    wanted = _wanted_shapes(1, 1, 1, max(1, _num_layers(weights)), network).keys() | {_POSITIONS}
    missing, unknown = sorted(wanted - weights.keys()), sorted(weights.keys() - wanted)
    if missing or unknown:
        said = [f"lacks {', '.join(missing[:3])}"] if missing else []
        said += [f"has {', '.join(unknown[:3])} besides"] if unknown else []
        raise ThunderError(
            f"{path}: not a FaceFormer checkpoint with this wav2vec 2.0 folder: {'; '.join(said)} "
            f"({len(missing)} missing, {len(unknown)} unknown of {len(wanted)}); check which model and folder these are"
        )


def _check_shapes(weights: dict[str, Tensor], dim: int, network: PretrainedSpeech, path: Path) -> None:
    num_values = weights["vertice_map.weight"].shape[1]
    num_subjects = weights["obj_vector.weight"].shape[-1]
    for name, shape in _wanted_shapes(dim, num_values, num_subjects, _num_layers(weights), network).items():
        if tuple(weights[name].shape) != shape:
            raise ThunderError(f"{path}: {name} wanted shape {shape}, found {tuple(weights[name].shape)}")
        if not weights[name].isfinite().all():
            raise ThunderError(f"{path}: {name} has values that are not finite; download it again")


def _period_of(table: Tensor, dim: int, path: Path) -> int:
    """The period of a stored table of positions (1, 600 or more, dim)."""
    for period in _PUBLISHED:
        if table.shape[0] == 1 and table.shape[1:] == (600 // period * period + period, dim):
            expected = periodic_positions(table.shape[1], period, dim)
            if torch.allclose(table[0], expected, atol=1e-5):
                return period
    raise ThunderError(
        f"{path}: {_POSITIONS} of shape {tuple(table.shape)} is no table of period 30 (VOCASET) or 25 (BIWI), the "
        f"published ones"
    )


def _span_of(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """An orthonormal basis (K, 3V), K = dim + 1, of all that an output layer (3V, dim), (3V,) can say, strongest first,
    and the layer in its coordinates (K, dim + 1), the bias last."""
    layer = torch.cat([weight, bias[:, None]], dim=1).double()
    basis, values, rest = torch.linalg.svd(layer, full_matrices=False)
    # A singular vector has no sign; the same checkpoint should give the same head on every machine.
    sign = basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
    return (basis * sign).T.float().contiguous(), (values[:, None] * rest * sign.T).float()
