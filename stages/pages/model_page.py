"""The page of a checkpoint: how its training went, what it is, what made it."""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from stages.artifacts.checkpoint import Checkpoint
from stages.pages import charts
from stages.pages.page import Block, Details, Facts, Figure, Page, Prose, Section, image
from stages.pages.pictures import data_uri, portrait_of_head
from stages.pages.provenance import provenance_section

_PORTRAIT_HEIGHT = 360
# Curves of training and validation share a chart, in this order.
_PHASES = ("train", "val")


def model_page(path: Path, checkpoint: Checkpoint, attributes: dict[str, Any]) -> Page:
    """The page of a model.

    Args:
        path: the file.
        checkpoint: what it holds.
        attributes: its root attributes.
    """
    kind = str(attributes["schema"]).removeprefix("thunder.")
    num_parameters = sum(math.prod(array.shape) for array in checkpoint.weights.values())
    facts = {"kind": kind, "parameters": f"{num_parameters:,}", "arrays": str(len(checkpoint.weights))}
    blocks: list[Block] = [
        Facts(facts),
        Details("The network", json.dumps(checkpoint.config, indent=1, ensure_ascii=False)),
    ]
    if checkpoint.head is not None:
        portrait = portrait_of_head(checkpoint.head, _PORTRAIT_HEIGHT)
        head = checkpoint.head
        caption = (
            f"{head.kind}, {len(head.template)} vertices, {len(head.features)} features; fingerprint {head.fingerprint}"
        )
        blocks.append(Figure(image(data_uri(portrait.picture), portrait.label, 288), portrait.label, caption))
    return Page(
        f"Model {path.name}",
        f"A {kind} checkpoint of {num_parameters:,} parameters.",
        [
            Section("Training", training_blocks(checkpoint)),
            Section("Model", blocks),
            provenance_section(path, attributes),
        ],
    )


def training_blocks(checkpoint: Checkpoint) -> list[Block]:
    """A chart for each figure that was noted during training, the loss first."""
    by_figure: dict[str, list[charts.Curve]] = defaultdict(list)
    for name in sorted(checkpoint.curves, key=lambda name: name.split(".")[0] != "train"):
        phase, _, figure = name.partition(".")
        values = checkpoint.curves[name].astype("f8")
        if len(values):
            colour = _PHASES.index(phase) if phase in _PHASES else None
            by_figure[figure or phase].append(charts.Curve(phase, values[:, 0], values[:, 1], colour))
    if not by_figure:
        return [Prose("The file keeps no curves of a training.")]
    blocks: list[Block] = []
    for figure in sorted(by_figure, key=lambda figure: (figure != "loss", figure)):
        curves = by_figure[figure]
        last = "; ".join(f"{c.name} ends at {c.y[-1]:.4g} after {len(c.x)} points" for c in curves)
        drawing = charts.lines(curves, "step", "", figure)
        blocks.append(Figure(drawing, figure, last))
    return blocks
