"""`metrics.h5`: every figure with its formula, unit, region, interval and count, and the rows per clip behind it."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from stages.artifacts.files import (
    explained_damage,
    read_array,
    read_artifact,
    read_names,
    write_array,
    write_artifact,
    write_names,
)
from stages.runtime.provenance import Provenance


@dataclass(frozen=True)
class MetricRow:
    """One metric over all clips.

    Attributes:
        name: e.g. `lve`.
        unit: of the value, as printed.
        formula: id of the formula, stated in full in the docstring of the function it names.
        region: name of the vertex region, empty where the metric has none.
        region_hash: first 12 hex digits of the SHA-256 of the region's sorted indices.
        value: the summary over clips.
        low, high: its 95 % bootstrap interval over clips.
        clip_ids: the clips behind it.
        per_clip: (clips,) f64, one value a clip.
        weights: (clips,) f64, what each counts in `value`: frames, characters; None where all count the same.
    """

    name: str
    unit: str
    formula: str
    region: str
    region_hash: str
    value: float
    low: float
    high: float
    clip_ids: tuple[str, ...]
    per_clip: np.ndarray
    weights: np.ndarray | None = None


def write_metrics(path: Path, rows: list[MetricRow], provenance: Provenance, *, force: bool) -> None:
    """Writes all rows."""
    with write_artifact(path, "thunder.metrics", provenance, force=force) as file:
        per_clip, summary = file.create_group("per_clip"), file.create_group("summary")
        for row in rows:
            group = per_clip.create_group(row.name)
            write_array(group, "value", np.asarray(row.per_clip, "f8"), "clip", row.unit)
            write_names(group, "clip", row.clip_ids, "clip")
            if row.weights is not None:
                write_array(group, "weight", np.asarray(row.weights, "f8"), "clip")
            group = summary.create_group(row.name)
            for name in ("value", "unit", "formula", "region", "region_hash", "low", "high"):
                group.attrs[name] = getattr(row, name)
            group.attrs["num_clips"] = len(row.clip_ids)


def read_metrics(path: Path) -> list[MetricRow]:
    """Reads all rows, in the order of their names.

    Raises:
        ThunderError: not such a file, or one that is incomplete or damaged.
    """
    with read_artifact(path, "thunder.metrics") as file, explained_damage(path):
        return [_read_row(file, name) for name in file["summary"]]


def _read_row(file: h5py.File, name: str) -> MetricRow:
    attrs = file[f"summary/{name}"].attrs
    clips = file[f"per_clip/{name}"]
    return MetricRow(
        name=name,
        unit=str(attrs["unit"]),
        formula=str(attrs["formula"]),
        region=str(attrs["region"]),
        region_hash=str(attrs["region_hash"]),
        value=float(attrs["value"]),
        low=float(attrs["low"]),
        high=float(attrs["high"]),
        clip_ids=read_names(clips, "clip"),
        per_clip=read_array(clips, "value", ndim=1, finite=False),
        weights=read_array(clips, "weight", ndim=1) if "weight" in clips else None,
    )
