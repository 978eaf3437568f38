"""Charts against their numbers: where marks stand, what they are called, and that text is text."""

import re

import numpy as np
import pytest

from stages.pages import charts
from stages.pages.charts import Axis, Curve, Spread


@pytest.mark.parametrize(
    ("low", "high", "about", "wanted"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0, 1, 4, [0, 0.5, 1]),
        (-0.3, 0.3, 5, [-0.2, 0, 0.2]),
        (13, 997, 5, [200, 400, 600, 800]),
        (1e-6, 3e-6, 5, [1e-6, 1.5e-6, 2e-6, 2.5e-6, 3e-6]),
    ],
)
def test_ticks_are_round(low: float, high: float, about: int, wanted: list[float]) -> None:
    assert charts.ticks(low, high, about) == pytest.approx(wanted)


def test_an_axis_holds_all_values_and_one_alone() -> None:
    axis = charts.axis([2.0, 4.0, float("nan")], 0, 100)
    assert axis.low < 2
    assert axis.high > 4
    assert axis.at(3.0) == pytest.approx(50)
    assert charts.axis([7.0], 0, 1).low < 7 < charts.axis([7.0], 0, 1).high
    assert charts.axis([], 0, 1).high > charts.axis([], 0, 1).low
    assert charts.axis([3.0, 5.0], 0, 1, zero=True).low == 0
    assert Axis(0, 10, 100, 0).at(2.5) == 75  # upwards


def test_a_dot_stands_where_its_value_is_and_says_so() -> None:
    values = np.array([1.0, 2.0, 4.0])
    drawing = charts.strip([Spread("a", values, ["x", "y", "z"], 2.3, 1.5, 3.5)], "mm", "title")
    dots = re.findall(r'<circle cx="([\d.]+)"[^>]*><title>(\w): ([\d.]+) mm</title>', drawing)
    assert [name for _, name, _ in dots] == ["x", "y", "z"]
    x = np.array([float(dot[0]) for dot in dots])
    assert (x[2] - x[1]) / (x[1] - x[0]) == pytest.approx(2, abs=0.01)
    low, high = re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="bar c0"/>', drawing)[0]
    assert float(low) == pytest.approx((x[0] + x[1]) / 2, abs=0.1)
    assert float(high) == pytest.approx(x[1] + 0.75 * (x[2] - x[1]), abs=0.1)


def test_dots_on_each_other_are_parted() -> None:
    drawing = charts.strip([Spread("a", np.full(5, 3.0), list("abcde"))], "", "title")
    assert len(set(re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', drawing))) == 5


def test_many_values_are_an_outline() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    drawing = charts.strip([Spread("a", values, ["x"] * 5000)], "", "title")
    assert "<circle" not in drawing
    assert "violin" in drawing
    assert len(drawing) < 10_000


def test_every_value_is_in_one_bar_of_a_histogram() -> None:
    values = np.random.default_rng(0).gamma(2, 3, 137)
    drawing = charts.histogram(values, "s", "title")
    assert sum(int(n) for n in re.findall(r" s: (\d+)</title>", drawing)) == 137


def test_bars_are_as_long_as_their_parts() -> None:
    drawing = charts.bars({"ann": {"train": 2.0, "test": 1.0}, "ben": {"train": 0.0, "test": 4.0}}, "min", "title")
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*><title>([^<]*)</title>', drawing)
    width = {name: float(w) for _, w, name in found}
    assert width["ann, train: 2 min"] == pytest.approx(2 * width["ann, test: 1 min"], abs=0.1)
    assert width["ben, test: 4 min"] == pytest.approx(2 * width["ann, train: 2 min"], abs=0.1)
    start = {name: float(x) for x, _, name in found}
    assert start["ann, test: 1 min"] == pytest.approx(start["ann, train: 2 min"] + width["ann, train: 2 min"], abs=0.1)


def test_a_line_breaks_where_there_is_no_value_and_long_ones_are_averaged() -> None:
    y = np.array([1.0, 2.0, np.nan, 2.0, 1.0])
    drawing = charts.lines([Curve("a", np.arange(5.0), y)], "step", "", "title")
    steps = re.findall(r'<path d="([^"]*)" class="line c0"', drawing)[0]
    assert steps.count("M") == 2
    assert steps.count("L") == 2
    long = charts.lines([Curve("a", np.arange(10_000.0), np.ones(10_000))], "step", "", "title")
    assert 100 < re.findall(r'<path d="([^"]*)" class="line c0"', long)[0].count("L") <= 400


def test_names_are_text() -> None:
    evil = '<script>"&'
    for drawing in (
        charts.strip([Spread(evil, np.arange(3.0), [evil] * 3)], evil, evil),
        charts.lines(
            [Curve(evil, np.arange(2.0), np.arange(2.0)), Curve(evil, np.arange(2.0), np.ones(2))], evil, evil, evil
        ),
        charts.bars({evil: {evil: 1.0, "other": 2.0}}, evil, evil),
        charts.histogram(np.arange(9.0), evil, evil),
    ):
        assert "<script" not in drawing
        assert "&lt;script&gt;" in drawing
        assert 'aria-label="&lt;script&gt;&#34;&amp;"' in drawing
