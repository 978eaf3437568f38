"""Results: rows come back as they were, one a line, NaN as null."""

import json
import math
from pathlib import Path

import pytest

from stages.artifacts.results_file import ResultRow, read_results, write_results
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance

ROWS = [
    ResultRow("mouth2s", "units", "1", 0.5123456789, 0.4, 0.6, 0.01, 3, 20, "more"),
    ResultRow("mouth2s − ridge", "mel", "sd", -0.25, -0.5, math.nan, math.nan, 1, 20),
]


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "results" / "m2s.json"
    write_results(path, ROWS, Provenance(0, inputs={"dataset": "ab"}, command="thunder evaluate-m2s"), force=False)
    found = read_results(path)
    assert (found.command, found.inputs) == ("thunder evaluate-m2s", {"dataset": "ab"})
    assert found.machine
    assert found.rows[0].mean == pytest.approx(ROWS[0].mean, rel=1e-5)
    assert found.rows[0].seeds == 3
    assert math.isnan(found.rows[1].high)
    content = json.loads(path.read_text())
    assert content["rows"][1]["deviation"] is None
    assert list(content["rows"][0]) == [
        "row",
        "metric",
        "unit",
        "mean",
        "low",
        "high",
        "deviation",
        "seeds",
        "clips",
        "better",
    ]
    assert sum('"metric": ' in line for line in path.read_text().splitlines()) == 2
    with pytest.raises(ThunderError, match="exists already"):
        write_results(path, ROWS, Provenance(0), force=False)


@pytest.mark.parametrize("text", ["", "[]", '{"rows": 3}', '{"rows": [{"row": "a"}]}', '{"rows": []}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ThunderError, match="not a results file"):
        read_results(tmp_path / "other.json")
    with pytest.raises(ThunderError, match="No such file"):
        read_results(tmp_path / "absent.json")
