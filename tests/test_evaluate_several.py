"""`thunder evaluate a.h5 b.h5 ...`: one table, paired differences, what does not compare, and tables for others."""

import csv
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.files import inputs_of
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_csv import COLUMNS
from stages.artifacts.metrics_file import read_comparison, read_metrics
from stages.artifacts.metrics_latex import escape
from stages.metrics.statistics import bootstrap_interval, paired_difference
from stages.runtime import assets
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance, sha256_of_file
from tests import shell
from tests.builders import small_dataset, small_head
from tests.lip_judges import babbling_lip_reader
from thunder_cli.app import app


def samples(
    path: str, noise: float, *, num_takes: int = 2, head: HeadRecord | None = None,
    change: Callable[[Clip], Clip | None] = lambda clip: clip, inputs: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Takes of every clip of dataset.h5: the truth and noise that is harder on some clips than on others."""
    rng = np.random.default_rng(0)
    with open_clips(Path("dataset.h5")) as dataset:
        clips = [dataset.read(clip_id) for clip_id in dataset]
    provenance = Provenance(seed=0, inputs=inputs or {})
    with write_clips(Path(path), "thunder.samples", head or small_head(), provenance, force=True) as writer:
        for k, clip in enumerate(clips):
            motion = clip.motion + noise * (1 + k) * rng.normal(size=(num_takes, *clip.motion.shape))
            made = change(replace(clip, motion=motion.astype("f4"), seed=np.arange(num_takes)))
            if made is not None:
                writer.add(made)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assets, "_FOLDERS", (tmp_path / "shipped",))
    small_dataset(Path("dataset.h5"))
    samples("plain.h5", 0.05)
    samples("guided.h5", 0.04)
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    return shell.run("evaluate", *arguments, "--force", "--device", "cpu")


def test_figures_are_those_of_each_alone_and_differences_are_paired() -> None:
    alone = {}
    for name in ("plain", "guided"):
        assert run(f"{name}.h5", "--metrics", "lve,fdd,jitter")[0] == 0
        alone[name] = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    code, out, err = run("plain.h5", "guided.h5", "--metrics", "lve,fdd,jitter")
    assert code == 0, err
    both = read_comparison(Path("metrics.h5"))
    assert both.keys() == {"plain", "guided"}
    assert both["plain"][1] == []
    for name, (rows, _) in both.items():
        for row in rows:
            wanted = alone[name][row.name]
            assert (row.value, row.low, row.high, row.clip_ids) == (
                wanted.value,
                wanted.low,
                wanted.high,
                wanted.clip_ids,
            )
    for row in both["guided"][1]:
        less = alone["guided"][row.name].per_clip - alone["plain"][row.name].per_clip
        np.testing.assert_allclose(row.per_clip, less)
        weights = alone["plain"][row.name].weights
        assert row.value == pytest.approx(np.average(less, weights=weights))
        assert (row.low, row.high) == pytest.approx(bootstrap_interval(less, weights))
        assert row.value == pytest.approx(alone["guided"][row.name].value - alone["plain"][row.name].value)
    lve = next(row for row in both["guided"][1] if row.name == "lve")
    assert lve.high < 0
    # Pairing tells what two intervals side by side do not.
    assert alone["guided"]["lve"].high > alone["plain"]["lve"].low
    line = next(line for line in out.splitlines() if line.split()[:2] == ["lve", "guided"])
    assert f"{lve.value:+.4g}" in line
    assert f"{lve.low:.4g} .. {lve.high:.4g}" in line
    assert "4 clips of plain.h5, 2 takes each, guided.h5, 2 takes each" in out
    assert inputs_of(Path("metrics.h5"), "thunder.metrics").keys() == {"samples_plain", "samples_guided", "reference"}


def test_a_file_against_its_like_differs_in_nothing() -> None:
    samples("again.h5", 0.05)
    assert run("plain.h5", "again.h5", "--metrics", "lve,mve,fdd,l-pcc")[0] == 0
    differences = read_comparison(Path("metrics.h5"))["again"][1]
    assert [(row.value, row.low, row.high) for row in differences] == [(0, 0, 0)] * len(differences)


def test_pairs_are_of_the_clips_that_both_have() -> None:
    found = paired_difference({"a": 3.0, "b": 5.0, "c": 1.0}, {"b": 4.0, "a": 1.0, "d": 9.0}, {"a": 1, "b": 3, "d": 1})
    assert found is not None
    assert found.keys == ("a", "b")
    assert found.mean == pytest.approx((2 * 1 + 1 * 3) / 4)
    assert paired_difference({"a": 1.0}, {"b": 1.0}) is None


def test_a_metric_that_one_file_lacks_stands_for_the_other() -> None:
    samples("single.h5", 0.04, num_takes=1)
    code, _, err = run("plain.h5", "single.h5", "--metrics", "lve,s-div-lips")
    assert code == 0
    assert "single.h5: not computed: s-div-lips: needs at least two takes of a clip" in err
    found = read_comparison(Path("metrics.h5"))
    assert [row.name for row in found["single"][0]] == ["lve", "lve-l2"]
    assert "s-div-lips" in {row.name for row in found["plain"][0]}
    samples("single2.h5", 0.04, num_takes=1)
    assert "at least two takes" in run("single.h5", "single2.h5", "--metrics", "s-div-lips")[2]


def _another_head() -> HeadRecord:
    return replace(small_head(), faces=small_head().faces[:-1], name="other head")


def _other_lips() -> HeadRecord:
    regions = small_head().regions
    return replace(small_head(), regions=regions | {"lips": regions["lips"][1:]})


def _rename(clip: Clip) -> Clip:
    return replace(clip, id=clip.id.replace("s3", "s9"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": _another_head()}, "vertices do not correspond"),
        ({"change": _rename}, "not of the same clips: 2 are in one alone, such as s3_clip of plain.h5"),
        (
            {"change": lambda clip: None if clip.id == "s2_clip" else clip},
            "1 are in one alone, such as s2_clip of plain.h5",
        ),
        ({"change": lambda clip: replace(clip, fps=30.0)}, "clip s0_clip: plain.h5 has 25 fps, other.h5 30"),
        ({"change": lambda clip: replace(clip, motion=clip.motion[:, :20])}, "plain.h5 has 30 frames, other.h5 20"),
        ({"change": lambda clip: replace(clip, transcript="bye")}, "says 'hello' in plain.h5, 'bye' in other.h5"),
    ],
)
def test_what_does_not_compare_is_refused_with_what_differs(options: dict, message: str) -> None:
    samples("other.h5", 0.04, **options)
    code, _, err = run("plain.h5", "other.h5")
    assert code == 1
    assert message in err
    assert not Path("metrics.h5").exists()


def test_regions_of_a_reference_count_for_all_and_without_one_must_be_the_same() -> None:
    samples("other.h5", 0.04, head=_other_lips())
    code, _, err = run("plain.h5", "other.h5", "--metrics", "lve")
    assert code == 0, err
    Path("dataset.h5").unlink()
    code, _, err = run("plain.h5", "other.h5", "--metrics", "s-div")
    assert code == 1
    assert re.search(r"region lips is [0-9a-f]{12} in plain.h5, [0-9a-f]{12} in other.h5", err)


def test_names_in_tables_tell_files_apart() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "samples.h5").write_bytes(Path("plain.h5").read_bytes())
    assert run("a/samples.h5", "b/samples.h5", "--metrics", "mve")[0] == 0
    assert read_comparison(Path("metrics.h5")).keys() == {"a-samples", "b-samples"}
    code, _, err = run("plain.h5", "../" + Path.cwd().name + "/plain.h5")
    assert code == 1
    assert "given twice" in err


def test_one_judge_for_all_and_no_part_in_any() -> None:
    babbling_lip_reader(Path("lipreader.h5"))
    Path("shipped").mkdir()
    babbling_lip_reader(Path("shipped/lipreader.h5"), seed=1)
    samples("taught.h5", 0.04, inputs={"supervised_by_lipreader": sha256_of_file(Path("lipreader.h5"))})
    assert run("plain.h5", "taught.h5", "--metrics", "cer")[0] == 0
    assert inputs_of(Path("metrics.h5"), "thunder.metrics")["lipreader"] == sha256_of_file(Path("shipped/lipreader.h5"))
    # What is read in true lips is the same for both, and stands once.
    names = {label: [row.name for row in rows] for label, (rows, _) in read_comparison(Path("metrics.h5")).items()}
    assert names == {"plain": ["cer", "cer-truth"], "taught": ["cer"]}


def test_a_file_of_several_is_not_taken_for_one() -> None:
    run("plain.h5", "guided.h5", "--metrics", "mve")
    with pytest.raises(ThunderError, match="holds the figures of 2 samples files"):
        read_metrics(Path("metrics.h5"))
    run("plain.h5", "--metrics", "mve")
    with pytest.raises(ThunderError, match="holds the figures of one samples file"):
        read_comparison(Path("metrics.h5"))


def test_json_lists_the_files() -> None:
    code, out, _ = run("plain.h5", "guided.h5", "--metrics", "lve", "--json")
    assert code == 0
    first, second = json.loads(out)["files"]
    assert (first["label"], first["differences"]) == ("plain", {})
    less = second["differences"]["lve"]
    assert less["value"] == pytest.approx(second["metrics"]["lve"]["value"] - first["metrics"]["lve"]["value"])
    assert less["num_clips"] == 4


def read_csv(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_holds_every_figure_once_and_in_full() -> None:
    code, out, err = run("plain.h5", "guided.h5", "--metrics", "lve,fdd", "--csv", "figures.csv")
    assert code == 0, err
    assert "figures.csv" in out
    lines = read_csv("figures.csv")
    assert tuple(lines[0]) == COLUMNS
    found = read_comparison(Path("metrics.h5"))
    for label, minus, rows in (
        ("plain", "", found["plain"][0]), ("guided", "", found["guided"][0]), ("guided", "plain", found["guided"][1]),
    ):  # fmt: skip
        for row in rows:
            of = [
                line for line in lines if (line["samples"], line["minus"], line["metric"]) == (label, minus, row.name)
            ]
            total, *clips = of
            assert (float(total["value"]), float(total["low"]), float(total["high"])) == (row.value, row.low, row.high)
            assert (total["unit"], total["formula"], total["region_hash"]) == (row.unit, row.formula, row.region_hash)
            assert total["better"] == row.better == ("" if row.name == "fdd" else "less")
            assert (total["clip"], total["num_clips"]) == ("", str(len(row.clip_ids)))
            assert tuple(line["clip"] for line in clips) == row.clip_ids
            assert [float(line["value"]) for line in clips] == row.per_clip.tolist()
            weights = [1.0] * len(clips) if row.weights is None else row.weights.tolist()
            assert [float(line["weight"]) for line in clips] == weights
    assert len(lines) == 3 * 4 * 5  # two files and their difference, four metrics, a mean and four clips each


def test_latex_is_a_table_that_says_what_its_numbers_are() -> None:
    Path("guided.h5").rename("m2s_50%.h5")
    code, _, err = run("plain.h5", "m2s_50%.h5", "--metrics", "lve,fdd,l-pcc", "--latex", "table.tex")
    assert code == 0, err
    text = Path("table.tex").read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("%")]
    table = [line for line in text.splitlines() if not line.startswith("%")]
    assert table[0] == r"\begin{tabular}{lll r lll}"
    assert table[-1] == r"\end{tabular}"
    rows = [line for line in table if line.endswith(r"\\")]
    assert rows[0] == r"metric & unit & region & $N$ & plain & m2s\_50\% & m2s\_50\% $-$ plain \\"
    assert {line.count(" & ") for line in rows} == {6}
    assert text.count("{") == text.count("}")
    assert any(line.startswith(r"l-pcc $\uparrow$ &") for line in rows)
    lve = next(line for line in rows if line.startswith(r"lve $\downarrow$ &"))
    assert r"mm$^2$ & lips & 4 &" in lve
    values = {label: next(r for r in found if r.name == "lve") for label, (found, _) in
              read_comparison(Path("metrics.h5")).items()}  # fmt: skip
    assert f"${values['plain'].value:.4g}$ [" in lve
    assert "$^*$" in lve  # the paired interval does not hold 0
    said = "\n".join(comments)
    assert "% lve: metrics.geometry.lip_vertex_error, region lips " in said
    assert f"samples_plain: SHA-256 {sha256_of_file(Path('plain.h5'))}" in said


@pytest.mark.parametrize("text", ["a_b & 100% $x$ #1 {y} ~z^2 \\alpha", "m/s³", "mm²"])
def test_what_latex_would_read_is_escaped(text: str) -> None:
    escaped = escape(text)
    bare = re.sub(r"\\text(?:backslash|asciitilde|asciicircum)\{\}|\\[&%$#_{}]|\$\^[23]\$", "", escaped)
    assert not set(bare) & set("&%$#_{}~^\\²³")
    assert len(bare) == sum(sign not in "&%$#_{}~^\\²³" for sign in text)


def test_one_clip_has_a_figure_and_no_interval_in_every_table() -> None:
    for name in ("plain", "guided"):
        samples(f"{name}.h5", 0.05, change=lambda clip: clip if clip.id == "s0_clip" else None)
    code, _, err = run("plain.h5", "guided.h5", "--metrics", "mve", "--csv", "one.csv", "--latex", "one.tex")
    assert code == 0, err
    total = read_csv("one.csv")[0]
    assert (total["low"], total["high"]) == ("", "")
    assert math.isfinite(float(total["value"]))
    assert "nan" not in Path("one.tex").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--csv", "--latex"])
def test_tables_that_exist_are_kept_without_force(option: str) -> None:
    Path("mine").write_text("mine")
    result = CliRunner().invoke(app, ["evaluate", "plain.h5", "--metrics", "mve", option, "mine"])
    assert result.exit_code == 1
    assert "mine: exists already" in " ".join(result.stderr.split())
    assert Path("mine").read_text() == "mine"


def test_samples_of_nothing_are_refused() -> None:
    from stages.evaluate import evaluate

    nothing: Sequence[Path] = []
    with pytest.raises(ThunderError, match="no samples to measure"):
        evaluate(nothing, Path("metrics.h5"))
