"""`thunder evaluate`: its figures against whole-array numpy, its table, its file, and each of its errors."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import Clip, Phone, open_clips, write_clips
from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_file import read_metrics
from stages.evaluate import evaluate
from stages.heads.head import build_head
from stages.metrics import faces as faces_module
from stages.metrics.catalogue import CATALOGUE, region_hash
from stages.runtime import assets
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests import shell
from tests.builders import small_clip, small_dataset, small_head

NUM_TAKES = 3


def sample_from(
    dataset_path: Path,
    path: Path,
    change: Callable[[Clip], Clip | None],
    *,
    head: HeadRecord | None = None,
) -> Path:
    """Writes a `thunder.samples` with what `change` makes of every clip of a dataset."""
    with open_clips(dataset_path, "thunder.dataset") as dataset:
        head = head or dataset.head
        with write_clips(path, "thunder.samples", head, Provenance(seed=0, command="test"), force=True) as writer:
            for clip_id in dataset:
                clip = change(dataset.read(clip_id))
                if clip is not None:
                    writer.add(clip)
    return path


def takes_of(clip: Clip, *, noise: float = 0.05, num_takes: int = NUM_TAKES) -> Clip:
    """N takes: the true motion plus noise on every curve."""
    rng = np.random.default_rng(len(clip.id) + int(1000 * clip.motion[0, 0]))
    motion = clip.motion + noise * rng.normal(size=(num_takes, *clip.motion.shape))
    return replace(clip, motion=motion.astype("f4"), seed=np.arange(num_takes))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with dataset.h5 (4 clips) and samples.h5 (3 takes of each), and no shipped judge."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assets, "_FOLDERS", (tmp_path / "shipped",))
    small_dataset(Path("dataset.h5"))
    sample_from(Path("dataset.h5"), Path("samples.h5"), takes_of)
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder evaluate`, line breaks of the terminal taken out."""
    return shell.run("evaluate", *arguments)


def values(path: str = "metrics.h5") -> dict[str, float]:
    return {row.name: row.value for row in read_metrics(Path(path))}


def test_every_figure_equals_the_formula_on_whole_arrays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_module, "_BLOCK_SIZE", 5000)  # 8 frames of all vertices at once
    evaluate([Path("samples.h5")], Path("metrics.h5"), reference_path=Path("dataset.h5"))
    head = build_head(small_head())
    regions = head.record.regions
    per_clip: dict[str, list[float]] = {name: [] for name in values()}
    with open_clips(Path("samples.h5")) as samples, open_clips(Path("dataset.h5")) as dataset:
        for clip_id in samples:
            motion, true_motion = samples.read(clip_id).motion, dataset.read(clip_id).motion
            takes = head.vertices(torch.from_numpy(motion), pose=False).double().numpy()
            truth = head.vertices(torch.from_numpy(true_motion), pose=False).double().numpy()
            seen = head.vertices(torch.from_numpy(motion)).double().numpy()
            true_seen = head.vertices(torch.from_numpy(true_motion)).double().numpy()
            distance = 1000 * np.linalg.norm(takes - truth, axis=-1)  # (N, T, V), mm
            lips, upper = regions["lips"], regions["upper_face"]
            per_clip["mve"].append(distance.mean())
            per_clip["lve"].append((distance[..., lips].max(-1) ** 2).mean())
            per_clip["lve-l2"].append(distance[..., lips].max(-1).mean())
            squared = 1e6 * ((takes - head.record.template) ** 2).sum(-1)[..., upper]
            true_squared = 1e6 * ((truth - head.record.template) ** 2).sum(-1)[..., upper]
            deviation = true_squared.std(0).mean() - squared.std(1).mean(-1)  # (N,)
            per_clip["fdd"].append(deviation.mean())
            per_clip["fdd-abs"].append(abs(deviation).mean())
            pairs = [(a, b) for a in range(NUM_TAKES) for b in range(a)]
            spread = np.mean([1000 * np.linalg.norm(takes[a] - takes[b], axis=-1) for a, b in pairs], axis=0)
            per_clip["s-div-upper"].append(spread[:, upper].mean())
            per_clip["s-div-lower"].append(spread[:, regions["mouth"]].mean())
            per_clip["s-div-lips"].append(spread[:, lips].mean())
            per_clip["dtw"].append(
                float(np.mean([warped(1000 * take[:, lips], 1000 * truth[:, lips]) for take in takes]))
            )
            per_clip["jitter"].append(25**3 * np.linalg.norm(np.diff(seen, 3, axis=1), axis=-1).mean())
            per_clip["jitter-truth"].append(25**3 * np.linalg.norm(np.diff(true_seen, 3, axis=0), axis=-1).mean())
            x, y = takes[:, :, lips].reshape(NUM_TAKES, len(truth), -1), truth[:, lips].reshape(len(truth), -1)
            dx, dy = x - x.mean(1, keepdims=True), y - y.mean(0)
            covariance, power, true_power = (dx * dy).sum((1, 2)), (dx**2).sum((1, 2)), (dy**2).sum()
            offset = len(truth) * ((x.mean(1) - y.mean(0)) ** 2).sum(-1)
            per_clip["l-pcc"].append((covariance / np.sqrt(power * true_power)).mean())
            per_clip["l-ccc"].append((2 * covariance / (power + true_power + offset)).mean())
    for row in read_metrics(Path("metrics.h5")):
        np.testing.assert_allclose(row.per_clip, per_clip[row.name], rtol=2e-3, err_msg=row.name)
        assert row.value == pytest.approx(np.mean(per_clip[row.name]), rel=2e-3)
        assert row.low <= row.value <= row.high


def warped(lips: np.ndarray, truth: np.ndarray) -> float:
    """DTW at 25 fps, cell by cell."""
    num_frames, best = len(lips), {(-1, -1): 0.0}
    for i in range(num_frames):
        for j in range(max(0, i - 5), min(num_frames, i + 6)):
            cost = np.linalg.norm(lips[i] - truth[j], axis=-1).mean()
            ways = [((i - 1, j), 1), ((i, j - 1), 1), ((i - 1, j - 1), 2)]
            best[i, j] = min(best[way] + weight * cost for way, weight in ways if way in best)
    return best[num_frames - 1, num_frames - 1] / (2 * num_frames)


def test_closures_are_counted_in_clips_with_timed_p_b_or_m(folder: Path) -> None:
    def speak(clip: Clip) -> Clip:
        """One take with lips shut at 0.4 s and open elsewhere, one open throughout; three closures told, or none."""
        motion = np.zeros((2, *clip.motion.shape), "f4")
        motion[:, :, jaw] = 0.8
        motion[0, 10, jaw] = 0.0
        times = ((0.36, 0.44, "B"), (0.8, 0.9, "M"), (9.0, 9.1, "P")) if clip.id == "s0_clip" else ((0.36, 0.44, "P"),)
        spoken = () if clip.id == "s3_clip" else tuple(Phone(*phone) for phone in (*times, (0.5, 0.7, "AA")))
        return replace(clip, motion=motion, seed=np.arange(2), phones=spoken)

    head = small_head()
    jaw = head.features.index("jawOpen")
    # The lips of this head touch where it is at rest.
    template = head.template.copy()
    template[head.landmarks["lip_bottom"]] = template[head.landmarks["lip_top"]]
    small_dataset(Path("dataset.h5"), head=replace(head, template=template))
    sample_from(Path("dataset.h5"), Path("samples.h5"), speak)
    code, _, err = run("--metrics", "closure-rate")
    assert code == 0, err
    (row,) = [row for row in read_metrics(Path("metrics.h5")) if row.name == "closure-rate"]
    assert row.clip_ids == ("s0_clip", "s1_clip", "s2_clip")
    np.testing.assert_allclose(row.per_clip, [0.25, 0.5, 0.5])
    assert row.weights is not None
    np.testing.assert_array_equal(row.weights, [2, 1, 1])  # what lies beyond the clip is no closure of it
    assert row.value == pytest.approx((2 * 0.25 + 0.5 + 0.5) / 4)


def test_clips_without_timed_closures_have_no_closure_rate(folder: Path) -> None:
    code, _, err = run("--metrics", "closure-rate")
    assert code == 1
    assert "metric closure-rate: needs the times of phones, among them P, B or M" in err


def test_truth_as_samples_has_no_error_and_full_correlation(folder: Path) -> None:
    sample_from(Path("dataset.h5"), Path("samples.h5"), lambda clip: takes_of(clip, noise=0.0))
    assert run("--metrics", "lve,mve,fdd,l-pcc,l-ccc,dtw,s-div,jitter")[0] == 0
    found = values()
    for name in ("lve", "lve-l2", "mve", "fdd", "fdd-abs", "dtw", "s-div-upper", "s-div-lower", "s-div-lips"):
        assert found[name] == pytest.approx(0, abs=1e-4)
    assert found["l-pcc"] == pytest.approx(1)
    assert found["l-ccc"] == pytest.approx(1)
    assert found["jitter"] == pytest.approx(found["jitter-truth"], rel=1e-4)


def test_head_motion_is_not_speech(folder: Path) -> None:
    run("--metrics", "lve,mve,fdd,l-pcc,l-ccc,s-div,jitter")
    before = values()

    def nod(clip: Clip) -> Clip:
        motion = takes_of(clip).motion.copy()
        motion[..., -3:] += 0.5 * np.sin(np.arange(motion.shape[1]))[:, None]
        return replace(clip, motion=motion)

    sample_from(Path("dataset.h5"), Path("samples.h5"), nod)
    run("--metrics", "lve,mve,fdd,l-pcc,l-ccc,s-div,jitter", "--force")
    after = values()
    assert after.pop("jitter") > 1.5 * before.pop("jitter")
    assert after == pytest.approx(before, rel=1e-6)


def test_exact_vertices_of_a_displacement_head_are_the_truth(tmp_path: Path) -> None:
    whole = small_head()
    head = replace(
        whole,
        kind="displacement",
        features=("pc0", "pc1"),
        arrays={"basis": whole.arrays["basis"][:2]},
    )
    dataset = small_dataset(tmp_path / "dataset.h5", head=head, vertices=True)
    shifted = tmp_path / "shifted.h5"
    with (
        open_clips(dataset) as clips,
        write_clips(shifted, "thunder.dataset", head, Provenance(seed=0, command="test"), force=True) as writer,
    ):
        for clip_id in clips:
            clip = clips.read(clip_id, vertices=True)
            assert clip.vertices is not None
            writer.add(replace(clip, vertices=clip.vertices + np.array([0.0, 0.003, 0.004], "f4")))
    samples = sample_from(dataset, tmp_path / "samples.h5", lambda clip: takes_of(clip, noise=0.0))
    for reference, error_mm in ((dataset, 0), (shifted, 5)):
        found = evaluate(
            [samples], tmp_path / "metrics.h5", reference_path=reference, metrics=["mve", "lve"], force=True
        )
        figures = {row.name: row.value for row in found.rows}
        assert figures["mve"] == pytest.approx(error_mm, abs=1e-3)
        assert figures["lve"] == pytest.approx(error_mm**2, abs=1e-2)


def test_both_faces_stand_on_the_template_of_the_reference(tmp_path: Path) -> None:
    """A method that samples with another speaker's style is measured on the face of the speaker it is compared with."""
    whole = small_head()
    head = replace(whole, kind="displacement", features=("pc0",), arrays={"basis": whole.arrays["basis"][:1]})
    clip = small_clip("c", head=head, vertices=True)
    assert clip.vertices is not None
    larger = replace(clip, subject="s0", vertices=clip.vertices + np.float32(0.1) * head.template)
    sampled = replace(clip, subject="s9", motion=clip.motion[None], vertices=None)
    for name, entry, scale in (("dataset", larger, 1.1), ("samples", sampled, 0.7)):
        templates, provenance = {entry.subject: head.template * np.float32(scale)}, Provenance(seed=0, command="test")
        path = tmp_path / f"{name}.h5"
        with write_clips(path, f"thunder.{name}", head, provenance, force=True, subjects=templates) as writer:
            writer.add(entry)
    found = evaluate(
        [tmp_path / "samples.h5"],
        tmp_path / "metrics.h5",
        reference_path=tmp_path / "dataset.h5",
        metrics=["mve", "fdd"],
    )
    assert [row.value for row in found.rows] == pytest.approx([0, 0, 0], abs=1e-4)


def test_unit_less_heads_are_measured_in_their_own_unit(tmp_path: Path) -> None:
    head = replace(small_head(), units="unitless")
    dataset = small_dataset(tmp_path / "dataset.h5", head=head)
    samples = sample_from(dataset, tmp_path / "samples.h5", takes_of)
    found = evaluate([samples], tmp_path / "metrics.h5", reference_path=dataset)
    units = {row.name: row.unit for row in found.rows}
    assert (units["mve"], units["lve"], units["jitter"], units["l-pcc"]) == ("unit", "unit²", "unit/s³", "1")


def test_frames_are_pooled_for_lve_and_clips_averaged_for_fdd(folder: Path) -> None:
    def shorten(clip: Clip) -> Clip:
        return replace(clip, motion=clip.motion[:10]) if clip.id == "s0_clip" else clip

    with (
        open_clips(Path("dataset.h5")) as clips,
        write_clips(
            Path("uneven.h5"), "thunder.dataset", clips.head, Provenance(seed=0, command="test"), force=True
        ) as writer,
    ):
        for clip_id in clips:
            writer.add(shorten(clips.read(clip_id)))
    sample_from(Path("uneven.h5"), Path("samples.h5"), takes_of)
    assert run("--reference", "uneven.h5", "--metrics", "lve,fdd")[0] == 0
    rows = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    lve, fdd = rows["lve"], rows["fdd"]
    assert lve.value == pytest.approx(np.average(lve.per_clip, weights=[10, 30, 30, 30]))
    assert lve.value != pytest.approx(np.mean(lve.per_clip), rel=1e-4)
    assert fdd.value == pytest.approx(np.mean(fdd.per_clip))


def test_a_frame_or_two_more_are_trimmed(folder: Path) -> None:
    def stretch(clip: Clip) -> Clip:
        takes = takes_of(clip, noise=0.0)
        return replace(takes, motion=np.concatenate([takes.motion, takes.motion[:, -2:] + 1], axis=1))

    sample_from(Path("dataset.h5"), Path("samples.h5"), stretch)
    assert run("--metrics", "mve")[0] == 0
    assert values()["mve"] == pytest.approx(0, abs=1e-4)


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
