"""`thunder evaluate`: its table, its file, what it does without, and each of its errors."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stages.artifacts.clips import Clip
from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.artifacts.metrics_file import read_metrics
from stages.evaluate import evaluate
from stages.metrics.catalogue import CATALOGUE, region_hash
from stages.runtime.errors import ThunderError
from tests.builders import small_head
from tests.sampled import evaluate_here as run
from tests.sampled import go_to_samples, sample_from, takes_of, values


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_samples(tmp_path, monkeypatch)


def test_table_and_file_say_unit_region_formula_and_count(folder: Path) -> None:
    code, out, _ = run("--metrics", "lve,jitter,l-pcc")
    assert code == 0
    lips = small_head().regions["lips"]
    line = next(line for line in out.splitlines() if line.strip().startswith("lve "))
    assert "mm²" in line
    assert {"less", "lips"} <= set(line.split())
    assert "more" in next(line for line in out.splitlines() if line.strip().startswith("l-pcc ")).split()
    assert f"regions: lips {region_hash(lips)}, all " in out
    assert line.split()[-1] == "4"
    assert "4 clips of samples.h5, 3 takes each; 4 of them against dataset.h5" in " ".join(out.split())
    rows = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    assert set(rows) == {"lve", "lve-l2", "jitter", "jitter-truth", "l-pcc"}
    assert {name: row.better for name, row in rows.items() if row.better} == {
        "lve": "less",
        "lve-l2": "less",
        "l-pcc": "more",
    }
    assert rows["lve"].formula == "metrics.geometry.lip_vertex_error"
    assert rows["lve"].clip_ids == ("s0_clip", "s1_clip", "s2_clip", "s3_clip")
    with open_hdf5(Path("metrics.h5")) as file:
        assert set(read_json_attribute(file, "inputs")) == {"samples", "reference"}


def test_speed_is_that_of_the_takes_whose_time_was_noted(folder: Path) -> None:
    code, _, err = run("--metrics", "speed")
    assert code == 1
    assert "metric speed: needs the time that takes took; `thunder sample` notes it, sample again" in err
    seconds = {"s0_clip": 0.3, "s1_clip": 0.6}  # of 1.2 s of speech
    sample_from(
        Path("dataset.h5"),
        Path("samples.h5"),
        lambda clip: replace(takes_of(clip), seconds_a_take=seconds.get(clip.id)),
    )
    code, out, err = run("--metrics", "speed")
    assert code == 0, err
    (row,) = read_metrics(Path("metrics.h5"))
    assert dict(zip(row.clip_ids, row.per_clip.tolist(), strict=True)) == {"s0_clip": 4.0, "s1_clip": 2.0}
    assert (row.value, row.unit, row.better) == (3.0, "× real time", "more")
    assert "× real time" in out


def test_json_holds_the_same_figures(folder: Path) -> None:
    code, out, _ = run("--json", "--metrics", "lve")
    assert code == 0
    found = json.loads(out)
    assert found["metrics"]["lve"]["value"] == pytest.approx(values()["lve"])
    assert found["metrics"]["lve"]["unit"] == "mm²"
    assert len(found["metrics"]["lve"]["per_clip"]) == 4


def test_one_clip_has_no_interval(folder: Path) -> None:
    keep = ("s3_clip",)
    sample_from(Path("dataset.h5"), Path("samples.h5"), lambda clip: takes_of(clip) if clip.id in keep else None)
    code, out, _ = run("--json", "--metrics", "mve")
    assert code == 0
    assert json.loads(out)["metrics"]["mve"]["low"] is None


def test_every_formula_is_documented_with_what_is_done_over_clips() -> None:
    for metric in CATALOGUE:
        text = " ".join((metric.formula.__doc__ or "").split())
        assert ("frames pooled" in text) == (metric.weight == "frame"), metric.name
        assert ("weighted by visemes" in text) == (metric.weight == "viseme"), metric.name
        assert ("weighted by closures" in text) == (metric.weight == "closure"), metric.name
        assert ("weighted by characters" in text) == (metric.weight == "character"), metric.name
        assert "lips" in text.lower() or metric.region != "lips"


def test_without_a_reference_the_rest_is_measured_and_the_missing_is_named(folder: Path) -> None:
    Path("dataset.h5").unlink()
    code, _, err = run()
    assert code == 0
    assert set(values()) == {"s-div-upper", "s-div-lower", "s-div-lips", "jitter"}
    assert "not computed: lve," in err
    assert "--reference dataset.h5" in err


def test_metrics_asked_for_by_name_do_without_what_only_their_kin_need(folder: Path) -> None:
    Path("dataset.h5").unlink()
    code, _, err = run("--metrics", "jitter,s-div")
    assert code == 0
    assert set(values()) == {"s-div-upper", "s-div-lower", "s-div-lips", "jitter"}
    assert "not computed: jitter-truth: needs the true motion" in err
    code, _, err = run("--metrics", "jitter,jitter-truth", "--force")
    assert code == 1
    assert "metric jitter-truth: needs the true motion" in err


def test_clips_that_the_reference_lacks_are_left_to_the_other_metrics(folder: Path) -> None:
    def rename(clip: Clip) -> Clip:
        return replace(takes_of(clip), id=clip.id if clip.id < "s2" else f"new_{clip.id}")

    sample_from(Path("dataset.h5"), Path("samples.h5"), rename)
    code, out, _ = run("--metrics", "mve,jitter")
    assert code == 0
    counts = {row.name: len(row.clip_ids) for row in read_metrics(Path("metrics.h5"))}
    assert counts == {"mve": 2, "jitter": 4, "jitter-truth": 2}
    assert "2 of them against dataset.h5" in " ".join(out.split())


def test_no_common_clip_names_ids_of_both(folder: Path) -> None:
    sample_from(Path("dataset.h5"), Path("samples.h5"), lambda clip: replace(takes_of(clip), id=f"my_{clip.id}"))
    code, _, err = run("--reference", "dataset.h5")
    assert code == 1
    assert "my_s0_clip" in err
    assert " s0_clip" in err
    # What lies in the folder by chance is done without, unless a metric that needs it is asked for.
    assert run()[0] == 0
    assert set(values()) == {"s-div-upper", "s-div-lower", "s-div-lips", "jitter"}
    code, _, err = run("--metrics", "lve", "--force")
    assert code == 1
    assert "my_s0_clip" in err


def test_still_faces_are_left_out_of_correlation_and_counted(folder: Path) -> None:
    def freeze(clip: Clip) -> Clip:
        takes = takes_of(clip)
        return replace(takes, motion=0 * takes.motion) if clip.id == "s1_clip" else takes

    sample_from(Path("dataset.h5"), Path("samples.h5"), freeze)
    code, _, err = run("--metrics", "l-pcc,mve")
    assert code == 0
    assert "l-pcc: not finite on 1 clips, which were left out: s1_clip" in err
    rows = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    assert rows["l-pcc"].clip_ids == ("s0_clip", "s2_clip", "s3_clip")
    assert len(rows["mve"].clip_ids) == 4
    with open_hdf5(Path("metrics.h5")) as file:
        assert read_json_attribute(file, "config")["left_out"] == {"l-pcc": ["s1_clip"]}


def test_a_metric_that_is_finite_nowhere_fails_the_command(folder: Path) -> None:
    sample_from(Path("dataset.h5"), Path("samples.h5"), lambda clip: replace(clip, motion=0 * clip.motion[None]))
    code, _, err = run("--metrics", "l-pcc")
    assert code == 1
    assert "metric l-pcc: not finite on any of 4 clips" in err
    assert not Path("metrics.h5").exists()


def test_one_take_has_no_diversity(folder: Path) -> None:
    sample_from(Path("dataset.h5"), Path("samples.h5"), lambda clip: takes_of(clip, num_takes=1))
    code, _, err = run()
    assert code == 0
    assert "s-div-upper" not in values()
    assert "at least two takes" in err
    code, _, err = run("--metrics", "s-div", "--force")
    assert code == 1
    assert "at least two takes" in err


def _fps(fps: float) -> Callable[[Clip], Clip]:
    return lambda clip: replace(takes_of(clip), fps=fps)


@pytest.mark.parametrize(
    ("arguments", "change", "message"),
    [
        (["--metrics", "lvee"], takes_of, "metric 'lvee' is not known; wanted some of lve, lve-l2, mve"),
        (["--metrics", "lve,cer"], takes_of, "metric cer: needs a lip reader; give --lipreader"),
        (["--metrics", "ver"], takes_of, "metric ver: needs a lip reader; give --lipreader"),
        (["--metrics", "m2s"], takes_of, "metric m2s: needs a mesh-to-speech model; give --m2s"),
        (
            ["--reference", "dataset.h5"],
            _fps(30.0),
            "samples.h5 has 30 fps, the reference 25; sample at the rate of the reference",
        ),
        (
            ["--reference", "dataset.h5"],
            lambda clip: replace(takes_of(clip), motion=takes_of(clip).motion[:, :20]),
            "samples.h5 has 20 frames, the reference 30",
        ),
        (["--reference", "nowhere.h5"], takes_of, "nowhere.h5: no such file; make it with `thunder preprocess`"),
        (["--m2s", "nowhere.h5"], takes_of, "nowhere.h5: no such file; make it with `thunder train-m2s`"),
        (["--reference", "samples.h5"], takes_of, "samples.h5: wanted thunder.dataset, found thunder.samples"),
        (["dataset.h5"], takes_of, "dataset.h5: wanted thunder.samples, found thunder.dataset"),
        (["-o", "samples.h5", "--force"], takes_of, "samples.h5: is an input of this command too"),
        (["-o", "dataset.h5"], takes_of, "dataset.h5: is an input of this command too"),
    ],
)
def test_errors_are_one_line_and_leave_no_file(
    folder: Path, arguments: Sequence[str], change: Callable[[Clip], Clip], message: str
) -> None:
    sample_from(Path("dataset.h5"), Path("samples.h5"), change)
    code, _, err = run(*arguments)
    assert code == 1
    assert message in err
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.h5", "samples.h5"]


def test_a_dataset_of_another_rate_is_done_without_when_not_named(folder: Path) -> None:
    sample_from(Path("dataset.h5"), Path("samples.h5"), _fps(30.0))
    code, _, err = run()
    assert code == 0
    assert set(values()) == {"s-div-upper", "s-div-lower", "s-div-lips", "jitter"}
    assert "samples.h5 has 30 fps, the reference 25" in err


def test_an_output_that_exists_is_kept_without_force(folder: Path) -> None:
    Path("metrics.h5").write_text("mine")
    code, _, err = run()
    assert code == 1
    assert "metrics.h5: exists already; give --force" in err
    assert Path("metrics.h5").read_text() == "mine"


def test_another_head_is_refused_when_named_and_done_without_when_not(folder: Path) -> None:
    head = small_head()
    other = replace(head, faces=head.faces[:-1], name="other head")
    sample_from(Path("dataset.h5"), Path("samples.h5"), takes_of, head=other)
    code, _, err = run("--reference", "dataset.h5")
    assert code == 1
    assert "vertices do not correspond" in err
    assert "other head" in err
    code, _, err = run()
    assert code == 0
    assert "vertices do not correspond" in err


def test_a_head_without_the_region_says_which_it_has(folder: Path) -> None:
    head = small_head()
    bare = replace(head, regions={name: indices for name, indices in head.regions.items() if name != "upper_face"})
    sample_from(Path("dataset.h5"), Path("samples.h5"), takes_of, head=bare)
    with pytest.raises(ThunderError, match="no region 'upper_face'; it has lips, mouth"):
        evaluate([Path("samples.h5")], Path("metrics.h5"), metrics=["s-div-upper"])
