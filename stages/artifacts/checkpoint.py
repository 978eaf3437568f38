"""Checkpoints: a model as weights, normalisation, configuration and head; and the state of an interrupted training."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.artifacts.files import (
    explained_damage,
    read_array,
    read_artifact,
    read_json_attribute,
    write_array,
    write_artifact,
)
from stages.artifacts.head_record import HeadRecord, read_head, write_head
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance

# Models that no head has a part in: they hear sound, or see pictures, which any head can make.
_HEADLESS = frozenset({"thunder.vocoder", "thunder.recogniser", "thunder.lipreader"})


@dataclass(frozen=True)
class Checkpoint:
    """A trained model that loads with no other file.

    Attributes:
        config: what rebuilds the network, plain JSON values.
        weights: parameter name -> array.
        normalisation: name -> array; statistics that inputs and outputs are scaled by.
        curves: name -> (n, 2) array of (step, value) recorded during training.
        head: the head whose motion the model speaks of; None for a model of sound or pictures.
    """

    config: dict[str, Any]
    weights: dict[str, np.ndarray]
    normalisation: dict[str, np.ndarray]
    head: HeadRecord | None = None
    curves: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def required_head(self) -> HeadRecord:
        """The head, for models of motion, which `read_checkpoint` never returns without one."""
        if self.head is None:
            raise ValueError("a model of sound has no head")
        return self.head


def write_checkpoint(path: Path, schema: str, checkpoint: Checkpoint, provenance: Provenance, *, force: bool) -> None:
    """Writes a model; `provenance.config` should be the whole configuration, `checkpoint.config` the network's."""
    with write_artifact(path, schema, provenance, force=force) as file:
        if checkpoint.head is not None:
            write_head(file, checkpoint.head)
        _write_arrays(file.create_group("weights"), checkpoint.weights)
        _write_arrays(file.create_group("normalisation"), checkpoint.normalisation)
        curves = file.create_group("training/curves")
        for name, values in checkpoint.curves.items():
            write_array(curves, name, values.astype("f4"), "step,value")
        file.attrs["model"] = json.dumps(checkpoint.config)


def read_checkpoint(path: Path, schema: str) -> Checkpoint:
    """Reads a model.

    Raises:
        ThunderError: not such a file, or one that is incomplete or damaged.
    """
    with read_artifact(path, schema) as file, explained_damage(path):
        curves = file.get("training/curves", {})
        return Checkpoint(
            config=read_json_attribute(file, "model"),
            weights=_read_arrays(file, "weights"),
            normalisation=_read_arrays(file, "normalisation"),
            head=None if schema in _HEADLESS else read_head(file),
            # A loss may have been infinite for a while; that does not make the model unusable.
            curves={name: read_array(curves, name, ndim=2, finite=False) for name in curves},
        )


def write_training_state(path: Path, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Writes what an interrupted training needs to go on; replaces an earlier state."""
    with write_artifact(path, "thunder.training", Provenance(seed=0), force=True) as file:
        _write_arrays(file.create_group("arrays"), arrays)
        file.attrs["state"] = json.dumps(state)


def read_training_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `write_training_state` wrote.

    Raises:
        ThunderError: not such a file, or one that is incomplete or damaged.
    """
    with read_artifact(path, "thunder.training") as file:
        return _read_arrays(file, "arrays"), read_json_attribute(file, "state")


def _write_arrays(group: h5py.Group, arrays: dict[str, np.ndarray]) -> None:
    """Writes name -> array; names have dots, never slashes, so that they stay flat."""
    for name, values in arrays.items():
        write_array(group, name, values, ",".join(map(str, values.shape)))


def _read_arrays(file: h5py.File, name: str) -> dict[str, np.ndarray]:
    with explained_damage(file.filename):
        group = file.get(name)
        if not isinstance(group, h5py.Group):
            raise ThunderError(f"{file.filename}: /{name} is missing; the file is incomplete, make it again")
        return {key: read_array(group, key) for key in group}
