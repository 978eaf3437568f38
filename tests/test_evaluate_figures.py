"""`thunder evaluate`: its figures against whole-array numpy, and what they look at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import Clip, Phone, open_clips, write_clips
from stages.artifacts.metrics_file import read_metrics
from stages.evaluate import evaluate
from stages.heads.head import build_head
from stages.metrics import faces as faces_module
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_dataset, small_head
from tests.sampled import NUM_TAKES, go_to_samples, sample_from, takes_of, values
from tests.sampled import evaluate_here as run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_samples(tmp_path, monkeypatch)


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
