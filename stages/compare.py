"""Trainings side by side: what `evaluate` measured of each, over seeds and clips, as rows of one table and their differences.

A file `NAME-SEED.h5` is a training of row NAME by that seed. What the judge makes of true motion and of true speech stands
below them, in rows of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.artifacts.files import check_output, inputs_of
from stages.artifacts.metrics_file import MetricRow, read_metrics
from stages.artifacts.results_file import Results, write_results
from stages.metrics.catalogue import CATALOGUE, OF_TRUTH
from stages.metrics.hearing_table import HearingTable
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs

# What `evaluate` measured with; figures compare where these were the same.
_MEASURES = ("reference", "m2s", "recogniser", "vocoder", "lipreader")


@dataclass(frozen=True)
class _Training:
    """What was measured of one training: the figures by metric."""

    path: Path
    row: str
    seed: int
    figures: dict[str, MetricRow]

    @property
    def clip_ids(self) -> set[str]:
        """Every clip that something was measured on."""
        return {clip_id for figure in self.figures.values() for clip_id in figure.clip_ids}


def compare(
    metrics_paths: Sequence[Path],
    output: Path,
    *,
    differences: Sequence[tuple[str, str]] = (),
    force: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> Results:
    """Summarises metrics of several trainings and writes a results file.

    Means are over seeds, then over clips, which count as in `evaluate`; the interval is over clips, the deviation over seeds.

    Args:
        metrics_paths: `thunder.metrics`, named NAME-SEED.h5, of the same clips and measured with the same models.
        output: JSON to write; rows stand in the order in which they are first given.
        differences: pairs of rows (row, other): `row − other`, clip by clip, and seed by seed where both have the same seeds.
        seed: of the bootstrap.

    Raises:
        ThunderError: a name without a seed, a training that stands twice, files that do not compare, a pair of which a row
            is not there, or an output that exists.
    """
    check_output(output, force=force, inputs=metrics_paths)
    trainings: list[_Training] = []
    measured_with: dict[str, str] = {}
    with progress("reading metrics", total=len(metrics_paths)) as advance:
        for path in metrics_paths:
            training, inputs = _read_training(path)
            if trainings:
                _check_comparable(training, inputs, trainings, measured_with)
            else:
                measured_with = inputs
            trainings.append(training)
            advance()
    names = list(dict.fromkeys(training.row for training in trainings))
    for row in (row for pair in differences for row in pair):
        if row not in names:
            raise ThunderError(f"no row {row!r} to subtract; the files given are of {', '.join(names)}")
    table = _table_of(trainings, seed)
    rows = table.rows([*names, *OF_TRUTH.values()])
    rows += [result for pair in differences for result in table.differences(*pair)]
    hashes = measured_with | hash_inputs(**{training.path.stem: training.path for training in trainings})
    return write_results(output, rows, Provenance(seed=seed, inputs=hashes), force=force)


def _read_training(path: Path) -> tuple[_Training, dict[str, str]]:
    """The figures of a file, and SHA-256 of what they were measured with, by name.

    Raises:
        ThunderError: another name than NAME-SEED, or figures of an earlier version, which do not say what clips weigh.
    """
    found = re.fullmatch(r"(.+)-(\d+)", path.stem)
    if found is None:
        raise ThunderError(f"{path}: wanted NAME-SEED.h5, such as mouth2s-0.h5, which tells row and seed; rename it")
    figures = {figure.name: figure for figure in read_metrics(path)}
    weighted = {metric.name for metric in CATALOGUE if metric.weight != "clip"}
    unweighted = sorted(name for name, figure in figures.items() if name in weighted and figure.weights is None)
    if unweighted:
        raise ThunderError(
            f"{path}: does not say what clips weigh in {unweighted[0]}; make it again with `thunder evaluate`"
        )
    inputs = inputs_of(path, "thunder.metrics")
    return _Training(path, found[1], int(found[2]), figures), {k: v for k, v in inputs.items() if k in _MEASURES}


def _check_comparable(
    training: _Training, inputs: dict[str, str], others: Sequence[_Training], measured_with: dict[str, str]
) -> None:
    """Refuses a training that was not measured as the first was: with the same models, on the same clips and vertices."""
    first = others[0]
    twin = next((o.path for o in others if (o.row, o.seed) == (training.row, training.seed)), None)
    if twin is not None:
        raise ThunderError(
            f"{training.path}: row {training.row} and seed {training.seed} are those of {twin}; give one"
        )
    for name in _MEASURES:
        if inputs.get(name) != measured_with.get(name):
            raise ThunderError(
                f"{training.path}: not measured with the {name} of {first.path}; give `thunder evaluate` the same for all"
            )
    other_clips = training.clip_ids ^ first.clip_ids
    if other_clips:
        raise ThunderError(
            f"{training.path}: has {len(training.clip_ids)} clips, {first.path} {len(first.clip_ids)}, and "
            f"{min(other_clips)} is in one of them alone; sample the same clips for all"
        )
    for name in training.figures.keys() & first.figures.keys():
        ours, theirs = (
            (figure.unit, figure.formula, figure.region_hash)
            for figure in (training.figures[name], first.figures[name])
        )
        if ours != theirs:
            raise ThunderError(
                f"{training.path}: {name} is {' '.join(ours).strip()}, in {first.path} {' '.join(theirs).strip()}; make "
                f"both with one version of `thunder evaluate`"
            )


def _table_of(trainings: Sequence[_Training], seed: int) -> HearingTable:
    """All figures, clip by clip."""
    clip_ids = sorted(trainings[0].clip_ids)
    index = {clip_id: k for k, clip_id in enumerate(clip_ids)}
    found = {figure.name: figure.unit for training in trainings for figure in training.figures.values()}
    # In the order of the catalogue, what only an earlier or later version knows after it.
    names = [metric.name for metric in CATALOGUE if metric.name in found]
    units = {_place(name, "")[1]: found[name] for name in (*names, *(found.keys() - set(names)))}
    table = HearingTable(len(clip_ids), units, seed, {metric.name: metric.better for metric in CATALOGUE})
    for training in trainings:
        for name, figure in training.figures.items():
            row, metric = _place(name, training.row)
            # The truth is the same for all.
            if row != training.row and training is not trainings[0]:
                continue
            weights = np.ones(len(figure.clip_ids)) if figure.weights is None else figure.weights
            for clip_id, value, weight in zip(figure.clip_ids, figure.per_clip, weights, strict=True):
                table.note(row, training.seed, index[clip_id], {metric: value}, {metric: weight})
    return table


def _place(name: str, row: str) -> tuple[str, str]:
    """Row and column of a metric: `jitter-truth` is the jitter of true motion."""
    for suffix, of_truth in OF_TRUTH.items():
        if name.endswith(suffix):
            return of_truth, name.removesuffix(suffix)
    return row, name
