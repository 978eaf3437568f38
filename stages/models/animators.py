"""The architectures of deterministic animators by name, and their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.models.animator import Animator
from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from stages.models.folder_of_model import load_folder_of
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.errors import ThunderError

ARCHITECTURES = ("faceformer", "codetalker")


def resolve_animator(name: str, values: Mapping[str, Any], where: str) -> FaceFormerConfig | CodeTalkerConfig:
    """The configuration of an architecture from its values.

    Raises:
        ThunderError: no such architecture, or values that it does not have.
    """
    if name == "faceformer":
        return FaceFormerConfig.resolve(options=values)
    if name == "codetalker":
        return CodeTalkerConfig.resolve(options=values)
    raise ThunderError(f"{where}: wanted an animator {' or '.join(ARCHITECTURES)}, found {name!r}")


def build_animator(config: FaceFormerConfig | CodeTalkerConfig, network: PretrainedSpeech | None) -> Animator:
    """The network of a configuration, not yet trained; `network` hears for it where it says so."""
    if isinstance(config, CodeTalkerConfig):
        return CodeTalker(config, network)
    return FaceFormer(config, network)


def checkpoint_of(model: Animator, weights: dict[str, Tensor], head: HeadRecord, curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given (averaged) weights."""
    buffers = arrays_of_weights(dict(model.named_buffers()))
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, head, curves)


def load_animator(
    path: Path, device: torch.device | str = "cpu", *, speech_encoder: Path | None = None
) -> tuple[Animator, HeadRecord]:
    """Reads a `thunder.animator`, and the head that its motion plays on.

    Args:
        speech_encoder: the `transformers` folder that it was trained with; None for a model with an encoder of its own.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration; a folder that is missing, or
            is not the one it was trained with.
    """
    checkpoint = read_checkpoint(path, "thunder.animator")
    config = resolve_animator(str(checkpoint.config.get("animator")), checkpoint.config, str(path))
    model = build_animator(config, load_folder_of(config, path, speech_encoder, device))
    load_weights(model, checkpoint.weights | checkpoint.normalisation, path)
    return model.to(device).eval().requires_grad_(False), checkpoint.required_head
