"""CodeTalker's convention against the published script's description, followed step by step in plain numpy."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_file import read_metrics
from stages.heads.head import build_head
from stages.metrics import codetalker, geometry
from stages.runtime.provenance import Provenance
from tests import shell
from tests.builders import small_clip, small_head
from thunder_cli.app import app

Arrays = Mapping[str, NDArray[np.float64]]


def as_published(
    predicted: Arrays, true: Arrays, templates: Arrays, lips: NDArray[np.int32], upper: NDArray[np.int32]
) -> tuple[float, float]:
    """LVE and FDD as the script goes about it: clip by clip, vertex by vertex, frames of all clips in one heap."""
    worst_of_frames, deviations = [], []
    for name, truth in true.items():
        own = predicted[name][: len(truth)]
        for t in range(len(truth)):
            worst_of_frames.append(max(((truth[t, v] - own[t, v]) ** 2).sum() for v in lips))
        lively = []
        for moving in (truth, own):
            of_vertices = [((moving[:, v] - templates[name][v]) ** 2).sum(-1) for v in upper]
            lively.append(np.mean([np.sqrt(np.mean((d - d.mean()) ** 2)) for d in of_vertices]))
        deviations.append(lively[0] - lively[1])
    return float(np.mean(worst_of_frames)), float(sum(deviations) / len(deviations))


def test_formulas_equal_the_script_on_the_same_arrays() -> None:
    rng = np.random.default_rng(0)
    template = rng.normal(size=(40, 3))
    truth, own = (template + 0.1 * rng.normal(size=(17, 40, 3)) for _ in range(2))
    lips, upper = np.arange(5, 15, dtype="i4"), np.arange(20, 38, dtype="i4")
    lve, fdd = as_published({"a": own}, {"a": truth}, {"a": template}, lips, upper)
    arrays = [torch.from_numpy(a) for a in (own, truth, template)]
    assert float(codetalker.lip_vertex_error(*(a[:, lips] for a in arrays[:2]))) == pytest.approx(lve, rel=1e-12)
    found = codetalker.face_dynamics_deviation(*(a[..., upper, :] for a in arrays))
    assert float(found) == pytest.approx(fdd, rel=1e-12)
    # On arrays of one length, without pose and in head units, ours are the same formulas.
    assert float(geometry.lip_vertex_error(*(a[:, lips] for a in arrays[:2]))) == pytest.approx(lve, rel=1e-6)
    assert float(geometry.face_dynamics_deviation(*(a[..., upper, :] for a in arrays))) == pytest.approx(fdd, rel=1e-6)


def corpus(folder: Path, head: HeadRecord, *, surplus: int = 3) -> tuple[Arrays, Arrays, Arrays]:
    """dataset.h5 and samples.h5, one take a clip and `surplus` frames longer; and the arrays that a script would load."""
    model = build_head(head)
    predicted, true, templates = {}, {}, {}
    samples, dataset, subjects = [], [], {}
    for k, num_frames in enumerate((12, 30, 21)):
        clip = small_clip(f"F{k}_e37", head=head, num_frames=num_frames, seed=k, subject=f"F{k}", vertices=True)
        template = (head.template * np.float32(1 + 0.1 * k)).astype("f4")
        assert clip.vertices is not None
        exact = (clip.vertices + np.float32(0.001 * k)).astype("f4")
        motion = small_clip("any", head=head, num_frames=num_frames + surplus, seed=k + 10).motion
        dataset.append(replace(clip, vertices=exact))
        samples.append(replace(clip, motion=motion[None], vertices=None, seed=np.zeros(1, "i8")))
        subjects[clip.subject] = template
        rest = torch.from_numpy(template)
        predicted[clip.id] = model.vertices(torch.from_numpy(motion), template=rest).double().numpy()
        true[clip.id], templates[clip.id] = exact.astype("f8"), template.astype("f8")
    for name, clips in (("dataset", dataset), ("samples", samples)):
        path = folder / f"{name}.h5"
        with write_clips(path, f"thunder.{name}", head, Provenance(seed=0), force=True, subjects=subjects) as writer:
            for one in clips:
                writer.add(one)
    return predicted, true, templates


def run(*arguments: str) -> tuple[int, str, str]:
    return shell.run("evaluate", *arguments, "--convention", "codetalker", "--force")


@pytest.mark.parametrize(("units", "unit"), [("unitless", "unit²"), ("m", "m²")])
def test_the_command_equals_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: str, unit: str) -> None:
    monkeypatch.chdir(tmp_path)
    whole = small_head()
    arrays = {"basis": whole.arrays["basis"][:3]}
    head = replace(whole, kind="displacement", units=units, features=("pc0", "pc1", "pc2"), arrays=arrays)
    lve, fdd = as_published(*corpus(tmp_path, head), head.regions["lips"], head.regions["upper_face"])
    code, out, err = run()
    assert code == 0, err
    rows = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    assert rows.keys() == {"lve", "fdd"}
    assert rows["lve"].value == pytest.approx(lve, rel=1e-6)
    assert rows["fdd"].value == pytest.approx(fdd, rel=1e-6)
    assert rows["lve"].unit == rows["fdd"].unit == unit
    assert rows["lve"].formula == "metrics.codetalker.lip_vertex_error"
    assert "as codetalker's published script computes them" in " ".join(out.split())
    # Our own convention refuses lengths that differ so, which may be another recording.
    result = CliRunner().invoke(app, ["evaluate", "--reference", "dataset.h5", "--force", "--metrics", "lve"])
    assert result.exit_code == 1
    assert "15 frames, the reference 12" in " ".join(result.stderr.split())


def test_head_pose_is_part_of_the_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    head = small_head()
    clip = small_clip("a", head=head, num_frames=20)
    model = build_head(head)

    def nodding(clip: Clip) -> Clip:
        motion = clip.motion.copy()
        motion[:, -3:] += 0.3 * np.sin(np.arange(len(motion)))[:, None]
        return replace(clip, motion=motion[None].astype("f4"), seed=np.zeros(1, "i8"))

    for name, one in (("dataset", clip), ("samples", nodding(clip))):
        with write_clips(Path(f"{name}.h5"), f"thunder.{name}", head, Provenance(seed=0), force=True) as writer:
            writer.add(one)
    with open_clips(Path("samples.h5")) as file:
        own = model.vertices(torch.from_numpy(file.read("a").motion[0])).double().numpy()
    truth = model.vertices(torch.from_numpy(clip.motion)).double().numpy()
    template = head.template.astype("f8")
    lve, fdd = as_published({"a": own}, {"a": truth}, {"a": template}, head.regions["lips"], head.regions["upper_face"])
    assert run()[0] == 0
    rows = {row.name: row.value for row in read_metrics(Path("metrics.h5"))}
    assert rows["lve"] == pytest.approx(lve, rel=1e-6)
    assert rows["fdd"] == pytest.approx(fdd, rel=1e-6)


def test_what_the_script_does_not_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = small_head()
    head = replace(whole, kind="displacement", features=("pc0",), arrays={"basis": whole.arrays["basis"][:1]})
    corpus(tmp_path, head, surplus=-1)
    code, _, err = run("--reference", "dataset.h5")
    assert code == 1
    assert "F0_e37: samples.h5 has 11 frames, the reference 12; CodeTalker's script wants at least as many" in err
    code, _, err = run("--metrics", "lve,cer")
    assert code == 1
    assert "metric 'cer' is not known; wanted some of lve, fdd" in err
    Path("dataset.h5").unlink()
    code, _, err = run("--metrics", "lve")
    assert code == 1
    assert "needs the true motion" in err
    result = CliRunner().invoke(app, ["evaluate", "--convention", "voca"])
    assert result.exit_code == 2
    assert "thunder or codetalker" in " ".join(result.stderr.split())
