"""`thunder compare`: rows over seeds against hand-worked values, differences that are paired, and what does not compare."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.artifacts.metrics_file import MetricRow, read_metrics, write_metrics
from stages.artifacts.results_file import ResultRow, read_results
from stages.runtime import assets
from stages.runtime.provenance import Provenance, sha256_of_file
from tests.builders import small_dataset
from tests.shell import run

CLIPS = ("a", "b", "c")
INPUTS = {"samples": "01", "reference": "02", "m2s": "03"}


def figure(name: str, values: tuple[float, ...], weights: tuple[float, ...] | None = None) -> MetricRow:
    clip_ids = CLIPS[: len(values)]
    weighted = None if weights is None else np.array(weights)
    return MetricRow(name, "mm", "metrics.x", "lips", "abc", 9.9, 9.9, 9.9, clip_ids, np.array(values), weighted)


def write(name: str, *figures: MetricRow, inputs: Mapping[str, str] = INPUTS) -> str:
    write_metrics(Path(name), list(figures), Provenance(0, {}, dict(inputs)), force=True)
    return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """none-0, none-1, mouth2s-0 and mouth2s-1, of three clips."""
    monkeypatch.chdir(tmp_path)
    frames = (10.0, 10.0, 20.0)
    for row, seed, shift in (("none", 0, 0.0), ("none", 1, 1.0), ("mouth2s", 0, -0.5), ("mouth2s", 1, 0.0)):
        write(
            f"{row}-{seed}.h5",
            figure("lve", (1 + shift, 2 + shift, 6 + shift), frames),
            figure("l-pcc", (0.5, 0.6, math.nan if row == "none" else 0.9)),
            figure("jitter", (4.0, 5.0, 6.0)),
            figure("jitter-truth", (1.0, 2.0, 3.0)),
        )
    return tmp_path


FILES = ("none-0.h5", "none-1.h5", "mouth2s-0.h5", "mouth2s-1.h5")


def results(path: str = "comparison.json") -> dict[tuple[str, str], ResultRow]:
    return {(row.row, row.metric): row for row in read_results(Path(path)).rows}


def test_rows_over_seeds_and_clips_as_evaluate_weighs_them(folder: Path) -> None:
    code, out, err = run("compare", *FILES, "--difference", "mouth2s,none")
    assert code == 0, err
    rows = results()
    assert [row for row, _ in rows] == [*3 * ["none"], *3 * ["mouth2s"], "true motion", *3 * ["mouth2s − none"]]
    lve = rows["none", "lve"]
    assert lve.mean == pytest.approx((10 * 1 + 10 * 2 + 20 * 6) / 40 + 0.5)
    assert lve.deviation == pytest.approx(0.5**0.5)
    assert (lve.seeds, lve.clips, lve.unit) == (2, 3, "mm")
    assert lve.low < lve.mean < lve.high
    # A clip without a finite figure counts for none of the seeds, and in no difference.
    assert (rows["none", "l-pcc"].mean, rows["none", "l-pcc"].clips) == (pytest.approx(0.55), 2)
    assert (rows["mouth2s − none", "l-pcc"].mean, rows["mouth2s − none", "l-pcc"].clips) == (0, 2)
    # The truth is one, however many trainings it is told in.
    assert (rows["true motion", "jitter"].mean, rows["true motion", "jitter"].seeds) == (2, 1)
    assert ("none", "jitter-truth") not in rows
    assert "mouth2s − none" in out
    assert {metric: found.better for (_, metric), found in rows.items()} == {
        "lve": "less",
        "l-pcc": "more",
        "jitter": "",
    }
    (line,) = [line.split() for line in out.splitlines() if line.split()[:2] == ["none", "lve"]]
    assert line[-4:] == ["mm", "less", "2", "3"]


def test_differences_are_paired(folder: Path) -> None:
    """Clips differ by millimetres, the rows by 0.5 mm (seed 0) and 1 mm (seed 1) in every clip: of that the interval knows."""
    assert run("compare", *FILES, "--difference", "mouth2s,none")[0] == 0
    difference = results()["mouth2s − none", "lve"]
    assert (difference.mean, difference.low, difference.high) == pytest.approx((-0.75, -0.75, -0.75))
    assert difference.deviation == pytest.approx(0.5 * 0.5**0.5, abs=1e-5)
    assert difference.seeds == 2


def test_the_file_says_what_was_compared(folder: Path) -> None:
    code, out, _ = run("compare", *FILES, "-o", "thunder.json", "--json")
    assert code == 0
    content = json.loads(Path("thunder.json").read_text())
    assert content["inputs"]["none-1"] == sha256_of_file(Path("none-1.h5"))
    assert {"reference": "02", "m2s": "03"}.items() <= content["inputs"].items()
    assert "samples" not in content["inputs"]
    assert len(json.loads(out)["rows"]) == len(content["rows"])
    code, _, err = run("compare", *FILES, "-o", "thunder.json")
    assert code == 1
    assert "thunder.json: exists already" in err


def _renamed() -> str:
    return write("none.h5", figure("lve", (1.0, 2.0, 3.0)))


def _again() -> str:
    Path("more").mkdir()
    return write("more/none-1.h5", figure("jitter", (1.0, 2.0, 3.0)))


def _of_another_judge() -> str:
    return write("x-0.h5", figure("jitter", (1.0, 2.0, 3.0)), inputs=INPUTS | {"m2s": "ff"})


def _of_fewer_clips() -> str:
    return write("x-0.h5", figure("jitter", (1.0, 2.0)))


def _of_other_lips() -> str:
    return write("x-0.h5", replace(figure("jitter", (1.0, 2.0, 3.0)), region_hash="def"))


def _without_weights() -> str:
    return write("x-0.h5", figure("lve", (1.0, 2.0, 3.0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_renamed, "none.h5: wanted NAME-SEED.h5, such as mouth2s-0.h5"),
        (_again, "more/none-1.h5: row none and seed 1 are those of none-1.h5; give one"),
        (_of_another_judge, "x-0.h5: not measured with the m2s of none-0.h5"),
        (_of_fewer_clips, "x-0.h5: has 2 clips, none-0.h5 3, and c is in one of them alone"),
        (_of_other_lips, "x-0.h5: jitter is mm metrics.x def, in none-0.h5 mm metrics.x abc"),
        (_without_weights, "x-0.h5: does not say what clips weigh in lve; make it again"),
    ],
)
def test_what_does_not_compare_is_refused(folder: Path, make: Callable[[], str], message: str) -> None:
    code, _, err = run("compare", *FILES, make())
    assert code == 1
    assert message in err
    assert not Path("comparison.json").exists()


def test_pairs_of_rows_that_are_not_there(folder: Path) -> None:
    code, _, err = run("compare", *FILES, "--difference", "mouth2s,nobody")
    assert code == 1
    assert "no row 'nobody' to subtract; the files given are of none, mouth2s" in err
    code, _, err = run("compare", *FILES, "--difference", "mouth2s")
    assert code == 2
    assert "wanted ROW,OTHER" in err


def test_from_training_to_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows trained on few and badly tracked clips, sampled on some test clips, and judged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assets, "_FOLDERS", (tmp_path / "shipped",))
    small_dataset(Path("dataset.h5"), splits=("train", "train", "train", "val", "test", "test", "test"), num_frames=40)
    quick = ("--preset", "tiny", "--steps", "2", "--batch-size", "2", "--device", "cpu", "--quiet")
    assert run("train-m2s", *quick, "-o", "judge.h5")[0] == 0
    limited = ("--max-clips", "2", "--motion-noise", "0.2", "-o", "model.h5", "--force")
    for name, extra in (("none-0", ()), ("regression-0", ("--regression",))):
        code, _, err = run("train-diffusion", *quick, *limited, *extra)
        assert code == 0, err
        sampled = ("--dataset", "dataset.h5", "--split", "test", "--clips", "2", "--n", "2")
        code, _, err = run("sample", *sampled, "--model", "model.h5", "--device", "cpu", "-o", "samples.h5", "--force")
        assert code == 0, err
        code, _, err = run("evaluate", "--m2s", "judge.h5", "--device", "cpu", "-o", f"{name}.h5")
        assert code == 0, err
    clip_ids = {row.name: row.clip_ids for row in read_metrics(Path("none-0.h5"))}["lve"]
    assert len(clip_ids) == 2
    assert set(clip_ids) < {"s4_clip", "s5_clip", "s6_clip"}
    code, _, err = run("compare", "none-0.h5", "regression-0.h5", "--difference", "regression,none")
    assert code == 0, err
    rows = results()
    for metric in ("lve", "lve-l2", "l-pcc", "l-ccc", "dtw", "s-div-upper", "s-div-lower", "fdd", "jitter", "m2s-mel"):
        assert rows["regression − none", metric].mean == pytest.approx(
            rows["regression", metric].mean - rows["none", metric].mean, abs=1e-4
        )
    assert rows["true motion", "m2s-mel"].clips == 2
    assert rows["regression", "s-div-upper"].mean == 0


def test_clips_are_of_a_split() -> None:
    code, _, err = run("sample", "speech.wav", "--clips", "3")
    assert code == 2
    assert "--clips needs --split" in err
