"""Metrics in pages: the table with intervals, the values of single clips, differences, and the formulas in full."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stages.artifacts.metrics_file import MetricRow
from stages.metrics.catalogue import CATALOGUE, OF_TRUTH
from stages.metrics.codetalker import CODETALKER
from stages.pages import charts
from stages.pages.page import Block, Details, Figure, Prose, Table, interval, number

_METRICS = (*CATALOGUE, *CODETALKER)


class Labelled(Protocol):
    """What was measured of one file, under a short name for it."""

    @property
    def label(self) -> str:
        """The name."""

    @property
    def rows(self) -> Sequence[MetricRow]:
        """One a metric."""

    @property
    def differences(self) -> Sequence[MetricRow]:
        """By how much they exceed those of the first file, one a metric; none for the first."""


@dataclass(frozen=True)
class Figures:
    """Figures of a file that says no more of where they came from."""

    label: str
    rows: Sequence[MetricRow]
    differences: Sequence[MetricRow] = ()


def row_of(measured: Labelled, metric: str) -> MetricRow | None:
    """The figures of one metric, where it was measured."""
    return next((row for row in measured.rows if row.name == metric), None)


def in_order(measured: Sequence[Labelled]) -> list[str]:
    """Names of all metrics, in the order of the catalogue; what only another version knows comes last."""
    names = list(dict.fromkeys(row.name for one in measured for row in one.rows))
    known = [metric.name for metric in CATALOGUE]
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


def metric_table(measured: Sequence[Labelled]) -> Table:
    """All figures, those of one metric below each other."""
    several = len(measured) > 1
    columns = ("metric", "value", "95 % interval", "unit", "better", "region", "clips", "formula")
    rows = [
        (
            row.name,
            *([_whose(one.label, name)] if several else []),
            number(row.value),
            interval(row.low, row.high),
            row.unit,
            row.better,
            row.region,
            number(len(row.clip_ids), 9),
            row.formula,
        )
        for name in in_order(measured)
        for one in measured
        if (row := row_of(one, name)) is not None
    ]
    hashes = {row.region: row.region_hash for one in measured for row in one.rows if row.region}
    regions = "; ".join(f"{name} {digest}" for name, digest in sorted(hashes.items()))
    caption = "Means over takes, then over clips; 95 % bootstrap intervals over clips."
    caption += f" Regions, by hash of their vertices: {regions}." if regions else ""
    return Table((columns[0], *(["samples"] if several else []), *columns[1:]), rows, caption)


def strips(measured: Sequence[Labelled]) -> list[Block]:
    """A chart of the values of all clips for each metric, a row for each file."""
    blocks: list[Block] = [
        Prose(
            "A dot is a clip (mean over its takes); the bar is the interval of the mean over clips, which the line marks."
        )
    ]
    for name in in_order(measured):
        blocks.append(
            _strip(name, [(_whose(one.label, name), row) for one in measured if (row := row_of(one, name)) is not None])
        )
    return blocks


def difference_blocks(first: str, others: Sequence[Labelled]) -> list[Block]:
    """A table and charts of how files differ from the first, paired clip by clip."""
    columns = ("difference", "metric", "value", "95 % interval", "unit", "better", "region", "clips", "0 within")
    of_metric = {
        name: [(f"{one.label} − {first}", row) for one in others for row in one.differences if row.name == name]
        for name in in_order(others)
    }
    rows = [
        (
            between,
            row.name,
            number(row.value),
            interval(row.low, row.high),
            row.unit,
            row.better,
            row.region,
            number(len(row.clip_ids), 9),
            "yes" if row.low <= 0 <= row.high else "no" if math.isfinite(row.low) else "–",
        )
        for found in of_metric.values()
        for between, row in found
    ]
    caption = (
        "Differences of the same clips, bootstrapped over clips: what makes a clip hard for both has gone. An interval "
        "without 0 says that other clips would hardly turn the difference round."
    )
    drawn = [_strip(f"{name}: difference", found) for name, found in of_metric.items() if found]
    return [Table(columns, rows, caption), *drawn]


def caption_of(rows: Sequence[MetricRow]) -> str:
    """Formula, unit, region and number of a metric."""
    first = rows[0]
    counts = sorted({len(row.clip_ids) for row in rows})
    region = f"region {first.region} ({first.region_hash})" if first.region else "no region"
    weight = next((metric.weight for metric in _METRICS if metric.formula_id == first.formula), "clip")
    weighting = f", weighted by {weight}s" if first.weights is not None and weight != "clip" else ""
    num_clips = " and ".join(map(str, counts))
    return f"{first.formula}; unit {first.unit}; {region}; N = {num_clips} clips{weighting}"


def formulas(measured: Sequence[Labelled]) -> list[Block]:
    """What each metric is, as its function states it."""
    stated = {row.name: row.formula for one in measured for row in one.rows}
    of_formula: dict[str, list[str]] = {}
    for name in in_order(measured):
        of_formula.setdefault(stated[name], []).append(name)
    texts = {metric.formula_id: inspect.getdoc(metric.formula) or "" for metric in _METRICS}
    return [Details(f"{', '.join(names)}: {formula}", texts.get(formula, "")) for formula, names in of_formula.items()]


def _whose(label: str, metric: str) -> str:
    """Of which a figure is: a file of samples, or the truth, which stands in the first of several files alone."""
    return next((truth for suffix, truth in OF_TRUTH.items() if metric.endswith(suffix)), label)


def _strip(title: str, found: Sequence[tuple[str, MetricRow]]) -> Figure:
    rows = [
        charts.Spread(of, np.asarray(row.per_clip, float), row.clip_ids, row.value, row.low, row.high)
        for of, row in found
    ]
    unit = found[0][1].unit
    drawing = charts.strip(rows, "" if unit == "1" else unit, f"{title}, by clip")
    return Figure(drawing, title, caption_of([row for _, row in found]))
