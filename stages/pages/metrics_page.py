"""The page of a `metrics.h5`: all of its figures, and the clips behind them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.pages.figures_of_metrics import Figures, difference_blocks, formulas, metric_table, strips
from stages.pages.page import Page, Section
from stages.pages.provenance import provenance_section


def metrics_page(path: Path, found: Sequence[Figures], attributes: dict[str, Any]) -> Page:
    """The page of a metrics file.

    Args:
        path: the file.
        found: the figures of each file of samples, the one that the others are compared with first.
        attributes: its root attributes.
    """
    clips = {clip_id for one in found for row in one.rows for clip_id in row.clip_ids}
    names = {row.name for one in found for row in one.rows}
    others = [one for one in found if one.differences]
    return Page(
        f"Metrics {path.name}",
        f"{len(names)} metric{'s' if len(names) != 1 else ''} of {len(clips)} clip{'s' if len(clips) != 1 else ''}.",
        [
            Section("Figures", [metric_table(found)]),
            *([Section("Differences", difference_blocks(found[0].label, others))] if others else []),
            Section("Clip by clip", strips(found)),
            Section("Formulas", formulas(found)),
            provenance_section(path, attributes),
        ],
    )
