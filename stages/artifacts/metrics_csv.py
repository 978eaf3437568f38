"""Figures as a table for other programs: one row a figure, of a clip, of all clips, or of a difference of two files."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from stages.artifacts.metrics_file import Evaluation, Measured, MetricRow
from stages.runtime.atomic_file import whole_or_none

COLUMNS = (
    "samples", "minus", "metric", "clip", "value", "low", "high", "unit", "formula", "region", "region_hash", "num_clips",
    "weight", "better",
)  # fmt: skip


def write_metrics_csv(path: Path, evaluation: Evaluation) -> None:
    """Writes every figure in full precision; a cell is empty where it does not apply or is not defined.

    `clip` is empty in a figure over all clips, which alone has an interval. `minus` names the file that was subtracted, clip by
    clip, and is empty in a figure that is no difference. `weight` is what the clip counts in the mean, `better` whether less or
    more is.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    with whole_or_none(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        first = evaluation.files[0].label
        for measured in evaluation.files:
            for row in measured.rows:
                writer.writerows(_lines(measured, "", row))
            for row in measured.differences:
                writer.writerows(_lines(measured, first, row))


def _lines(measured: Measured, minus: str, row: MetricRow) -> Iterator[tuple[str, ...]]:
    about = (row.unit, row.formula, row.region, row.region_hash)
    who = (measured.label, minus, row.name)
    yield (
        *who,
        "",
        _number(row.value),
        _number(row.low),
        _number(row.high),
        *about,
        str(len(row.clip_ids)),
        "",
        row.better,
    )
    weights = [None] * len(row.clip_ids) if row.weights is None else row.weights.tolist()
    for clip_id, value, weight in zip(row.clip_ids, row.per_clip.tolist(), weights, strict=True):
        yield (*who, clip_id, _number(value), "", "", *about, "1", "1" if weight is None else f"{weight:g}", row.better)


def _number(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""
