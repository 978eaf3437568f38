"""Values of every metric on every clip, and what they come to: one row a metric, with its interval."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_file import MetricRow
from stages.metrics.catalogue import Metric, Weight, region_hash
from stages.metrics.clip_reader import ClipReader
from stages.metrics.faces import ALL_VERTICES, ClipFaces
from stages.metrics.lip_readability import MouthOutOfSightError
from stages.metrics.readability import num_characters
from stages.metrics.statistics import bootstrap_interval, paired_difference, weighted_mean
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress

# Why lips of a clip are not read though somebody could read them.
NO_MOUTH = "a frame shows no mouth; look at it with `thunder render`"


@dataclass
class ClipTable:
    """Values of every metric on every clip that it was computed on, and what the clips weigh where they do not count alike.

    Attributes:
        unseen: clips whose lips were not read, for a frame of them shows no mouth.
    """

    values: dict[str, dict[str, float]]
    counts: dict[Weight, dict[str, int]]
    num_takes: tuple[int, int]
    timed: bool = False
    unseen: list[str] = field(default_factory=list)

    def weights(self, metric: Metric, clip_ids: Collection[str]) -> np.ndarray | None:
        """What the clips weigh in the metric's mean, (clips,); None where all weigh the same."""
        counts = self.counts.get(metric.weight)
        return None if counts is None else np.array([counts[clip_id] for clip_id in clip_ids], float)

    def impossible(self, metrics: Sequence[Metric]) -> dict[str, str]:
        """Metrics that the clips leave undefined, one and all, and why."""
        reasons = {}
        if self.num_takes[1] == 1:
            reasons["takes"] = "needs at least two takes of a clip, found one"
        if not any(self.counts["closure"].values()):
            reasons["closures"] = (
                "needs the times of phones, among them P, B or M; they come with the clips of a dataset"
            )
        if not self.timed:
            reasons["times"] = "needs the time that takes took; `thunder sample` notes it, sample again"
        found = {m.name: reason for m in metrics for need, reason in reasons.items() if need in m.needs}
        for metric in metrics:
            nowhere = metric.name in self.values and not self.values[metric.name]
            if nowhere and self.unseen and "lipreader" in metric.needs:
                found[metric.name] = f"of each clip {NO_MOUTH}"
        return found


def measure(metrics: list[Metric], reader: ClipReader, progress: Progress, *, see_all: bool = True) -> ClipTable:
    """Computes metrics on every clip that has what they need.

    Args:
        see_all: whether a frame that shows no mouth is an error where lips are read; otherwise those of its clip are not.

    Raises:
        MouthOutOfSightError: there is such a frame.
    """
    values: dict[str, dict[str, float]] = {metric.name: {} for metric in metrics}
    counts: dict[Weight, dict[str, int]] = {"frame": {}, "character": {}, "closure": {}, "viseme": {}}
    takes: list[int] = []
    timed = False
    unseen: list[str] = []
    ids = list(reader.samples)
    spelt = any(metric.weight == "viseme" for metric in metrics)
    with progress("evaluating", total=len(ids)) as advance, torch.inference_mode():
        for clip_id in ids:
            clip = reader.read(clip_id)
            counts["frame"][clip_id] = clip.takes.num_frames
            counts["character"][clip_id] = num_characters(clip.transcript)
            counts["closure"][clip_id] = len(clip.closures)
            counts["viseme"][clip_id] = len(clip.visemes) if spelt else 0
            takes.append(clip.num_takes)
            timed = timed or clip.seconds_a_take is not None
            try:
                found = _values_of(clip, metrics, reader.record.units)
            except MouthOutOfSightError:
                if see_all:
                    raise
                unseen.append(clip_id)
                # Neither of takes nor of truth, so that both figures are of the same clips.
                found = _values_of(replace(clip, lip_judge=None), metrics, reader.record.units)
            for name, value in found.items():
                values[name][clip_id] = value
            advance(1)
    return ClipTable(values, counts, (min(takes), max(takes)), timed, unseen)


def _values_of(clip: ClipFaces, metrics: Sequence[Metric], units: str) -> dict[str, float]:
    return {metric.name: metric.value(clip, units) for metric in metrics if clip.has(metric.needs)}


def summarise(metric: Metric, table: ClipTable, record: HeadRecord, seed: int) -> tuple[MetricRow, list[str]]:
    """The metric's row, and the clips on which it is not finite."""
    per_clip = table.values[metric.name]
    good = {clip_id: value for clip_id, value in per_clip.items() if math.isfinite(value)}
    bad = [clip_id for clip_id in per_clip if clip_id not in good]
    if not good:
        raise ThunderError(
            f"metric {metric.name}: not finite on any of {len(bad)} clips ({', '.join(bad[:5])}): too short, or faces "
            f"that do not move; look at them with `thunder render`, or leave it out of --metrics"
        )
    values = np.array(list(good.values()))
    weights = table.weights(metric, good)
    low, high = bootstrap_interval(values, weights, seed=seed)
    num_vertices = len(record.template)
    indices = np.arange(num_vertices) if metric.region == ALL_VERTICES else record.regions.get(metric.region)
    return MetricRow(
        name=metric.name,
        unit=metric.unit(record.units)[0],
        formula=metric.formula_id,
        region=metric.region,
        region_hash="" if indices is None else region_hash(indices),
        value=weighted_mean(values, weights),
        low=low,
        high=high,
        clip_ids=tuple(good),
        per_clip=values,
        weights=weights,
        better=metric.better,
    ), bad


def difference_of(ours: MetricRow, theirs: MetricRow, seed: int) -> MetricRow | None:
    """`ours − theirs` of one metric, paired clip by clip, as a row; None where no clip is in both.

    A clip weighs what it weighs in `theirs`.
    """
    values, others = (dict(zip(row.clip_ids, row.per_clip.tolist(), strict=True)) for row in (ours, theirs))
    weights = None if theirs.weights is None else dict(zip(theirs.clip_ids, theirs.weights.tolist(), strict=True))
    paired = paired_difference(values, others, weights, seed=seed)
    if paired is None:
        return None
    return replace(
        ours,
        value=paired.mean,
        low=paired.low,
        high=paired.high,
        clip_ids=paired.keys,
        per_clip=paired.values,
        weights=paired.weights,
    )
