"""Figures of several hearers, each of several seeds, on the same clips: collected clip by clip, summarised as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.results_file import ResultRow
from stages.metrics.statistics import over_seeds

# Intervals to two digits, of a few hundred figures, in seconds.
_NUM_RESAMPLES = 4000


@dataclass
class HearingTable:
    """Values and weights by row, metric and seed, (C,) each; NaN where a clip was not measured.

    Attributes:
        num_clips: C.
        units: metric -> its unit; rows follow this order, and a metric that is not here is not kept.
        seed: of the bootstrap.
        better: metric -> `less` or `more`, where either is.
    """

    num_clips: int
    units: Mapping[str, str]
    seed: int = 0
    better: Mapping[str, str] = field(default_factory=dict)
    _values: dict[tuple[str, str], dict[int, NDArray[np.float64]]] = field(default_factory=dict)
    _weights: dict[tuple[str, str], dict[int, NDArray[np.float64]]] = field(default_factory=dict)

    def note(
        self, row: str, seed: int, clip: int, figures: Mapping[str, float], weights: Mapping[str, float] | None = None
    ) -> None:
        """Keeps the figures of one clip, and what the clip weighs in those that are not plain means over clips."""
        for metric, value in figures.items():
            of_seeds = self._values.setdefault((row, metric), {})
            of_seeds.setdefault(seed, np.full(self.num_clips, np.nan))[clip] = value
            weight = (weights or {}).get(metric, 1.0)
            self._weights.setdefault((row, metric), {}).setdefault(seed, np.zeros(self.num_clips))[clip] = weight

    def rows(self, names: Sequence[str]) -> list[ResultRow]:
        """One result for each metric of each named row."""
        found = [
            self._summary(name, metric, *_stacked(self._values[name, metric], self._weights[name, metric]))
            for name in names
            for metric in self.units
            if (name, metric) in self._values
        ]
        return [result for result in found if result.clips]

    def differences(self, row: str, other: str) -> list[ResultRow]:
        """`row − other`, paired clip by clip, and seed by seed where both have the same seeds.

        A metric in which a clip weighs differently for the two is left out.
        """
        found = []
        for metric in self.units:
            keys = [(name, metric) for name in (row, other)]
            if not all(key in self._values for key in keys):
                continue
            (ours, weights), (theirs, other_weights) = (_stacked(self._values[k], self._weights[k]) for k in keys)
            if self._values[keys[0]].keys() != self._values[keys[1]].keys():
                ours, theirs, weights, other_weights = (
                    table.mean(0, keepdims=True) for table in (ours, theirs, weights, other_weights)
                )
            both = (weights > 0) & (other_weights > 0)
            if (weights == other_weights)[both].all():
                found.append(self._summary(f"{row} − {other}", metric, ours - theirs, np.where(both, weights, 0.0)))
        return [result for result in found if result.clips]

    def _summary(self, row: str, metric: str, table: NDArray[np.float64], weights: NDArray[np.float64]) -> ResultRow:
        found = over_seeds(table, weights, seed=self.seed, num_resamples=_NUM_RESAMPLES)
        return ResultRow(
            row=row,
            metric=metric,
            unit=self.units[metric],
            mean=found.mean,
            low=found.low,
            high=found.high,
            deviation=found.deviation,
            seeds=len(table),
            clips=found.num_clips,
            better=self.better.get(metric, ""),
        )


def _stacked(*by_seed: Mapping[int, NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """(seeds, C) of each, in the order of the seeds."""
    return [np.stack([values[seed] for seed in sorted(values)]) for values in by_seed]
