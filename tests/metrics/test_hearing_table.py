"""Figures by row, metric and seed become results; differences are paired."""

import math

import pytest

from stages.metrics.hearing_table import HearingTable


def filled() -> HearingTable:
    table = HearingTable(3, {"mel": "sd", "cer": "1"})
    for seed, values in ((0, (1.0, 2.0, 3.0)), (1, (2.0, 3.0, 4.0))):
        for clip, value in enumerate(values):
            table.note("a", seed, clip, {"mel": value, "other": 9.0})
            table.note("b", seed, clip, {"mel": 0.5 + value})
    table.note("c", 0, 1, {"mel": 7.0, "cer": 0.5}, {"cer": 10.0})
    table.note("c", 0, 2, {"mel": 7.0, "cer": 0.1}, {"cer": 30.0})
    table.note("d", 0, 0, {"mel": math.nan})
    return table


def test_rows_come_in_order_and_count_seeds_and_clips() -> None:
    rows = filled().rows(["c", "a", "absent", "d"])
    assert [(row.row, row.metric, row.unit, row.seeds, row.clips) for row in rows] == [
        ("c", "mel", "sd", 1, 2), ("c", "cer", "1", 1, 2), ("a", "mel", "sd", 2, 3)
    ]  # fmt: skip
    assert rows[1].mean == pytest.approx(0.2)  # 8 edits in 40 characters
    assert rows[2].mean == 2.5
    assert rows[2].deviation == pytest.approx(0.5**0.5)


def test_differences_are_paired_over_clips_and_seeds() -> None:
    (paired,) = filled().differences("a", "b")
    assert (paired.row, paired.seeds) == ("a − b", 2)
    assert (paired.mean, paired.low, paired.high, paired.deviation) == (-0.5, -0.5, -0.5, 0)
    (unlike,) = filled().differences("a", "c")  # seeds 0 and 1 against seed 0, clips 1 and 2 in common
    assert (unlike.mean, unlike.seeds, unlike.clips) == (3.0 - 7.0, 1, 2)
    assert filled().differences("a", "d") == []
