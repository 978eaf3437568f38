"""`metrics.h5`: every figure with its formula, unit, region, interval and count, and the rows per clip behind it.

Of one samples file: `/summary/<metric>` and `/per_clip/<metric>`. Of several: the same below `/samples/<label>`, with
`differences` from the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from stages.artifacts.clips import ClipSummary
from stages.artifacts.files import (
    explained_damage,
    read_array,
    read_artifact,
    read_names,
    write_array,
    write_artifact,
    write_names,
)
from stages.runtime.errors import ThunderError
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
        better: `less` or `more`; empty where neither is, or a file of an earlier version does not say.
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
    better: str = ""


@dataclass(frozen=True)
class Measured:
    """One samples file, measured.

    Attributes:
        label: short, and no other file's; what tables call it.
        sha256: of the file.
        rows: one a metric, in the order of the catalogue; those of the truth alone, such as `cer-truth`, stand in the first
            file's only.
        differences: by how much its metrics exceed those of the first file, paired clip by clip: a row a metric, whose
            interval is of the difference; none for the first file.
        num_takes: fewest and most takes of a clip.
        left_out: metric -> clips whose value is not finite, such as the correlation of a face that does not move.
        unread: why lips of some clips were not read -> those clips.
        skipped: metric -> why it was not computed, though others of the name asked for, or of the catalogue, were.
    """

    label: str
    path: Path
    sha256: str
    rows: tuple[MetricRow, ...]
    differences: tuple[MetricRow, ...] = ()
    num_takes: tuple[int, int] = (1, 1)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unread: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What was measured, on what, and who judged.

    Attributes:
        files: all of the same clips; the first is what the others are compared with.
        clips: those of the first file.
        num_referenced: how many of them the reference has too.
        head, units, fingerprint: of the head.
        convention: `thunder`, or `codetalker` for figures as its published script computes them.
        seed: of the bootstrap.
        inputs: name -> SHA-256 of every file that had a part in it.
        reference: with the true motion. m2s: listened. recogniser: read what it heard. vocoder: made sound of it first.
            lip_reader: read lips. None where there was none.
    """

    files: tuple[Measured, ...]
    clips: tuple[ClipSummary, ...]
    num_referenced: int
    head: str
    units: str
    fingerprint: str
    convention: str
    seed: int
    inputs: dict[str, str]
    reference: Path | None = None
    m2s: Path | None = None
    recogniser: Path | None = None
    vocoder: Path | None = None
    lip_reader: Path | None = None

    @property
    def rows(self) -> tuple[MetricRow, ...]:
        """Those of the first file, which is the only one as a rule."""
        return self.files[0].rows


def write_metrics(path: Path, rows: Sequence[MetricRow], provenance: Provenance, *, force: bool) -> None:
    """Writes the rows of one samples file."""
    with write_artifact(path, "thunder.metrics", provenance, force=force) as file:
        _write_rows(file, "summary", rows)


def write_comparison(path: Path, files: Sequence[Measured], provenance: Provenance, *, force: bool) -> None:
    """Writes the rows of several samples files, each below `/samples/<label>`, and how they differ from the first."""
    with write_artifact(path, "thunder.metrics", provenance, force=force) as file:
        for measured in files:
            group = file.create_group(f"samples/{measured.label}")
            group.attrs["sha256"] = measured.sha256
            _write_rows(group, "summary", measured.rows)
            if measured.differences:
                _write_rows(group, "differences", measured.differences)
        file["samples"].attrs["first"] = files[0].label


def _write_rows(parent: h5py.Group, name: str, rows: Sequence[MetricRow]) -> None:
    """Summaries below `name`, and what they are made of below `per_clip`, or `differences_per_clip`."""
    per_clip, summary = parent.create_group(_of_clips(name)), parent.create_group(name)
    for row in rows:
        group = per_clip.create_group(row.name)
        write_array(group, "value", np.asarray(row.per_clip, "f8"), "clip", row.unit)
        write_names(group, "clip", row.clip_ids, "clip")
        if row.weights is not None:
            write_array(group, "weight", np.asarray(row.weights, "f8"), "clip")
        group = summary.create_group(row.name)
        for attribute in ("value", "unit", "formula", "region", "region_hash", "low", "high", "better"):
            group.attrs[attribute] = getattr(row, attribute)
        group.attrs["num_clips"] = len(row.clip_ids)


def _of_clips(name: str) -> str:
    return "per_clip" if name == "summary" else f"{name}_per_clip"


def read_metrics(path: Path) -> list[MetricRow]:
    """Reads all rows, in the order of their names.

    Raises:
        ThunderError: not such a file, one of several samples files, or one that is incomplete or damaged.
    """
    with read_artifact(path, "thunder.metrics") as file, explained_damage(path):
        if "samples" in file:
            raise ThunderError(
                f"{path}: holds the figures of {len(file['samples'])} samples files; wanted those of one, as `thunder "
                f"evaluate` writes them for each alone"
            )
        return _read_rows(file, "summary")


def read_comparison(path: Path) -> dict[str, tuple[list[MetricRow], list[MetricRow]]]:
    """Reads the rows of several samples files, and their differences from the first: label -> both.

    Raises:
        ThunderError: not such a file, one of a single samples file, or one that is incomplete or damaged.
    """
    with read_artifact(path, "thunder.metrics") as file, explained_damage(path):
        if "samples" not in file:
            raise ThunderError(f"{path}: holds the figures of one samples file; wanted those of several")
        return {
            label: (_read_rows(group, "summary"), _read_rows(group, "differences") if "differences" in group else [])
            for label, group in file["samples"].items()
        }


def _read_rows(parent: h5py.Group, of: str) -> list[MetricRow]:
    return [_read_row(parent[of][name].attrs, parent[_of_clips(of)][name], name) for name in parent[of]]


def _read_row(attrs: h5py.AttributeManager, clips: h5py.Group, name: str) -> MetricRow:
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
        better=str(attrs.get("better", "")),
    )
