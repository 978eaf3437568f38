"""Which phones are taken for which, frame by frame, and whether the mistakes are those that a face excuses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import Phone
from stages.metrics.visemes import PHONES, SILENCE, viseme_of, without_stress

_INDEX = {phone: k for k, phone in enumerate(PHONES)}
# A frame between phones, or in one that the table lacks, is counted nowhere.
UNKNOWN = -1


def phones_at(phones: Sequence[Phone], num_frames: int, rate_hz: float) -> NDArray[np.int64]:
    """Index in `PHONES` of the phone at every frame (n,); frame j stands at j / rate_hz seconds."""
    found = np.full(num_frames, UNKNOWN)
    if phones:
        starts = np.array([phone.start_s for phone in phones])
        ends = np.array([phone.end_s for phone in phones])
        labels = np.array([_INDEX.get(without_stress(phone.label), UNKNOWN) for phone in phones])
        times = np.arange(num_frames) / rate_hz
        # A rounding error may not lose the frame that stands on a boundary.
        at = np.searchsorted(starts, times + 1e-6, side="right") - 1
        inside = (at >= 0) & (times < ends[at.clip(0)])
        found[inside] = labels[at[inside]]
    return found


def is_sound(phones: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the phones (n,) of `phones_at` are known and no silence."""
    return (phones != UNKNOWN) & (phones != _INDEX[SILENCE])


def count_confusions(true: NDArray[np.int64], heard: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many frames of each true phone (rows) are heard as each phone (columns): (P, P), P the phones of the table."""
    known = (true != UNKNOWN) & (heard != UNKNOWN)
    counts = np.zeros((len(PHONES), len(PHONES)), np.int64)
    np.add.at(counts, (true[known], heard[known]), 1)
    return counts


class Tally(NamedTuple):
    """Frames of sounding phones, silence, true or heard, left out; one array over the leading axes of the counts.

    Attributes:
        frames: all.
        right: those whose phone is heard right.
        mistakes: the others.
        alike: mistakes in which phone heard and true phone look alike.
        alike_by_chance: as many as would be, if each mistake drew its phone from those heard, by their frequency.
    """

    frames: NDArray[np.float64]
    right: NDArray[np.float64]
    mistakes: NDArray[np.float64]
    alike: NDArray[np.float64]
    alike_by_chance: NDArray[np.float64]


def tally(counts: NDArray[np.int64]) -> Tally:
    """Sums over (..., P, P) from `count_confusions`; what chance would do is told by the frequencies over all of them."""
    visemes = np.array([viseme_of(phone) for phone in PHONES])
    sounding = np.flatnonzero(visemes != "sil")
    counts = counts[..., sounding[:, None], sounding].astype(np.float64)
    same_phone = np.eye(len(sounding), dtype=bool)
    same_viseme = visemes[sounding][:, None] == visemes[sounding]
    heard = counts.reshape(-1, *same_phone.shape).sum((0, 1))  # (P,)
    others = np.where(same_phone, 0.0, heard)  # what a mistake about row p can draw
    chance = (others * same_viseme).sum(1) / others.sum(1).clip(1.0)  # (P,)
    mistakes = np.where(same_phone, 0.0, counts)
    frames, missed = counts.sum((-2, -1)), mistakes.sum((-2, -1))
    return Tally(
        frames, frames - missed, missed, (mistakes * same_viseme).sum((-2, -1)), (mistakes.sum(-1) * chance).sum(-1)
    )


def phones_of_units(units: NDArray[np.int64], phones: NDArray[np.int64], num_units: int) -> NDArray[np.float64]:
    """How likely each phone is where a unit is heard: (K, P), rows summing to 1.

    Args:
        units: (n,) speech units of training frames.
        phones: (n,) their phones.
        num_units: K.
    """
    counts = np.zeros((num_units, len(PHONES)))
    known = phones != UNKNOWN
    np.add.at(counts, (units[known], phones[known]), 1.0)
    # A unit that no training frame has says what is common.
    counts += counts.sum(0) / max(counts.sum(), 1.0)
    return counts / counts.sum(1, keepdims=True)
