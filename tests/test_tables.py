"""The README's tables hold what the results files hold."""

import math

import pytest

from stages.artifacts.results_file import ResultRow, Results, read_results
from tests.tables import COLUMNS, README, RESULTS, cell, replaced, standing, table_of


def row(mean: float, deviation: float = math.nan, name: str = "a", metric: str = "mel", better: str = "") -> ResultRow:
    return ResultRow(name, metric, "1", mean, mean - 0.1, mean + 0.1, deviation, 3, 20, better)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (row(0.51234, 0.0061), ".512 ± .006"),
        (row(0.5), ".500"),
        (row(9.41), "9.41"),
        (row(-0.0001), ".000"),
        (row(0.9997), "1.000"),
        (row(11.813), "11.8"),
        (row(0.31, name="a − b"), "+.310 (+.210 to +.410)"),
        (row(-0.05, name="a − b"), "−.050 (−.150 to +.050)"),
        (None, ""),
    ],
)
def test_cells(found: ResultRow | None, text: str) -> None:
    assert cell(found) == text


def test_a_table_between_its_marks() -> None:
    rows = (
        row(0.5, better="less"),
        row(0.25, 0.01, "b", "units", "more"),
        row(0.75, metric="units", better="more"),
        row(9, metric="hidden"),
    )
    results = Results(rows, "thunder", "2026-01-31", "2 cores", {})
    table = table_of(results, {"units": "unit accuracy", "mel": "mel, sd", "cer": "CER"})
    assert table.splitlines()[:4] == [
        "|  | unit accuracy ↑ | mel, sd ↓ |", "| --- | --- | --- |", "| a | .750 | .500 |", "| b | .250 ± .010 |  |"
    ]  # fmt: skip
    assert "2026-01-31, 2 cores" in table
    assert "| hidden |" in table_of(results)
    text = replaced("before\n<!-- x:begin -->\nold\n<!-- x:end -->\nafter", "x", "new \\1")
    assert text == "before\n<!-- x:begin -->\nnew \\1\n<!-- x:end -->\nafter"
    assert standing(text, "x") == "new \\1"
    with pytest.raises(ValueError, match="y:begin"):
        replaced(text, "y", "new")


def test_readme_and_results_agree() -> None:
    text = README.read_text(encoding="utf-8")
    for path in RESULTS.glob("*.json"):
        expected = table_of(read_results(path), COLUMNS.get(path.stem))
        assert standing(text, path.stem) == expected, f"{path.name} changed: run `make tables`"
