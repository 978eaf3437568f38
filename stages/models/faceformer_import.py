"""Published FaceFormer checkpoints (`vocaset.pth`, `biwi.pth`) as networks of this toolkit, with nothing lost.

Their output layer maps `dim` numbers to offsets of all vertices, so all that they can say lies in the span of its columns and
its bias. An orthonormal basis of that span is the head that motion plays on, and the coordinates in it are the motion
features: output layer and input layer are rewritten in these coordinates, and the vertices are the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from stages.models.published_weights import (
    NUM_HEADS,
    PUBLISHED,
    check_names,
    check_shapes,
    check_surface,
    count_layers,
    names_of,
    period_of,
    shared_shapes,
    shared_weights,
    span_of,
)


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
        network: wav2vec 2.0 up to its last layer, whose transformer gets the weights that were tuned with the animator.
        subjects: `vocaset` and `biwi` -> the speakers of its training split, in the order in which they are numbered; a
            checkpoint of another number of speakers has them numbered.

    Raises:
        ThunderError: keys or shapes that are not those of FaceFormer; the first ones are named.
    """
    check_names(weights, set(_wanted_shapes(weights, 1, 1, 1, network)), "FaceFormer", path)
    check_surface(weights, len(surface.template), surface.name, path)
    dim, num_values = weights["vertice_map.weight"].shape
    num_subjects = weights["obj_vector.weight"].shape[-1]
    check_shapes(weights, _wanted_shapes(weights, dim, num_values, num_subjects, network), path)
    period = period_of(weights, dim, path)
    reading, fps = PUBLISHED[period]
    basis, out, offset = span_of(weights["vertice_map_r.weight"], weights["vertice_map_r.bias"])
    model = FaceFormer(
        FaceFormerConfig(
            num_features=len(basis),
            fps=fps,
            subjects=names_of(subjects, reading, num_subjects),
            period=period,
            dim=dim,
            num_layers=count_layers(weights, "transformer_decoder.layers."),
            num_heads=NUM_HEADS,
            encoder_dim=network.dim,
            speech_encoder="wav2vec2",
            folder_layer=network.layer,
            folder_sha256=network.identity,
            published=reading,
        ),
        network,
    )
    ours = shared_weights(weights, basis)
    model.load_state_dict(ours | {"style.weight": weights["obj_vector.weight"], "out.weight": out, "out.bias": offset})
    head = replace(
        surface,
        kind="displacement",
        features=tuple(f"pc{k:03d}" for k in range(len(basis))),
        arrays={"basis": basis.unflatten(1, (-1, 3)).numpy()},
    )
    return model.eval(), head


def _wanted_shapes(
    weights: dict[str, Tensor], dim: int, num_values: int, num_subjects: int, network: PretrainedSpeech
) -> dict[str, tuple]:
    return shared_shapes(weights, dim, num_values, network) | {
        "vertice_map_r.weight": (num_values, dim),
        "vertice_map_r.bias": (num_values,),
        "obj_vector.weight": (dim, num_subjects),
    }
