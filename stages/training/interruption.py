"""What an interrupted training leaves, so that it can go on as if nothing had happened, and what may not be gone on with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.artifacts.checkpoint import read_training_state, write_training_state
from stages.models.weights import arrays_of_weights
from stages.runtime.errors import ThunderError

# Hexadecimal digits of a SHA-256.
_HASH_LENGTH = 64


def check_state(state_path: Path, *, resume: bool, force: bool) -> None:
    """Refuses to start over silently where an interrupted training could go on, and to go on where there is none.

    Raises:
        ThunderError: see above.
    """
    if resume and not state_path.exists():
        raise ThunderError(f"{state_path}: no interrupted training to go on with; leave out --resume")
    if state_path.exists() and not (resume or force):
        raise ThunderError(f"{state_path}: an interrupted training is here; --resume goes on, --force starts over")


def check_made(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuses to go on with what was made of something else.

    A setting that `found` lacks is one that the version which wrote it did not have; a file that it lacks was not given.

    Args:
        path: what `found` was read from.
        wanted: what this training is made of.

    Raises:
        ThunderError: names the first that differs.
    """
    files = {name: None for name, value in wanted.items() if _is_hash(value)}
    for name, value in (files | dict(found)).items():
        if wanted.get(name) != value:
            raise ThunderError(
                f"{path}: the interrupted training had {name} {_shown(value)}, this one has {_shown(wanted.get(name))}; "
                f"give what it had, or --force starts over"
            )


@dataclass
class TrainingState:
    """All that changes while training, and `made`, what it is made of: name -> a plain value."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    averaged: dict[str, Tensor]
    curves: dict[str, list[tuple[float, float]]]
    generator: torch.Generator
    made: dict[str, Any]


def save_state(path: Path, step: int, training: TrainingState, generator_state: Tensor) -> None:
    """Writes the state before step `step`; `generator_state` is that of the generator before the batch of that step."""
    model, optimiser, averaged = training.model, training.optimiser, training.averaged
    curves = training.curves
    arrays = {f"model.{k}": v for k, v in arrays_of_weights(dict(model.named_parameters())).items()}
    arrays |= {f"buffer.{name}": buffer.cpu().numpy() for name, buffer in model.named_buffers()}
    arrays |= {f"averaged.{k}": v for k, v in arrays_of_weights(averaged).items()}
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    state = optimiser.state_dict()["state"]
    for index, name in enumerate(names):
        # What was never used has no gradient yet, and no moments.
        for key, value in state.get(index, {}).items():
            arrays[f"adam.{key}.{name}"] = value.cpu().numpy()
    arrays["random.generator"] = generator_state.numpy()
    arrays["random.global"] = torch.get_rng_state().numpy()
    arrays |= {f"curve.{name}": np.array(points, "f8") for name, points in curves.items()}
    write_training_state(path, arrays, {"step": step, "made": training.made})


def restore_state(path: Path, training: TrainingState) -> int:
    """Puts a saved state back; returns the step to go on from.

    Raises:
        ThunderError: it is that of another training.
    """
    model, optimiser, averaged = training.model, training.optimiser, training.averaged
    curves, generator = training.curves, training.generator
    arrays, state = read_training_state(path)
    check_made(path, state.get("made", {}), training.made)
    parameters = dict(model.named_parameters())
    adam: dict[int, dict[str, Any]] = {}
    shapes = {name.removeprefix("model."): values.shape for name, values in arrays.items() if name.startswith("model.")}
    if shapes != {name: tuple(p.shape) for name, p in parameters.items()}:
        raise ThunderError(f"{path}: the interrupted training was of another network; --force starts over")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(arrays[f"model.{name}"]))
        for values, prefix in ((averaged, "averaged."), (dict(model.named_buffers()), "buffer.")):
            for name in values:
                values[name].copy_(torch.from_numpy(np.asarray(arrays[f"{prefix}{name}"])))
    for index, name in enumerate(n for n, p in parameters.items() if p.requires_grad):
        moments = {key: arrays.get(f"adam.{key}.{name}") for key in ("exp_avg", "exp_avg_sq", "step")}
        found = {key: torch.from_numpy(np.array(value)) for key, value in moments.items() if value is not None}
        if found:
            adam[index] = found
    optimiser.load_state_dict({**optimiser.state_dict(), "state": adam})
    generator.set_state(torch.from_numpy(arrays["random.generator"]))
    torch.set_rng_state(torch.from_numpy(arrays["random.global"]))
    for name, points in arrays.items():
        if name.startswith("curve."):
            curves[name.removeprefix("curve.")] = [(float(s), float(v)) for s, v in points]
    return int(state["step"])


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == _HASH_LENGTH


def _shown(value: object) -> str:
    """A value as one reads it; a hash by its beginning."""
    return str(value)[:12] if _is_hash(value) else str(value)
