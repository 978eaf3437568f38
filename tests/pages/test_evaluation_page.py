"""`thunder evaluate --report`: every figure of the artifacts, read back by a parser of its own, and its pictures."""

import base64
import io
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from stages.artifacts.clips import open_clips, write_clips
from stages.artifacts.metrics_file import MetricRow, read_comparison, read_metrics
from stages.heads.head import build_head
from stages.runtime import assets
from stages.runtime.provenance import Provenance, sha256_of_file
from tests.builders import small_clip, small_dataset, small_head
from tests.pages.reading import ReadPage, check_needs_no_network, read_page
from thunder_cli.app import app

EVIL = "<script>alert(1)</script> & <b>bold</b>"
FRAMES = 16


def write_samples(path: Path, *, noise: float, num_takes: int = 3, transcript: str = "hello") -> Path:
    """Takes of the four clips of `small_dataset`: their motion plus noise."""
    rng = np.random.default_rng(round(1000 * noise))
    with (
        open_clips(Path("dataset.h5"), "thunder.dataset") as dataset,
        write_clips(
            path, "thunder.samples", dataset.head, Provenance(seed=5, command=f"thunder {EVIL}"), force=True
        ) as to,
    ):
        for clip_id in dataset:
            clip = dataset.read(clip_id)
            motion = clip.motion + noise * rng.normal(size=(num_takes, *clip.motion.shape))
            to.add(replace(clip, motion=motion.astype("f4"), seed=np.arange(num_takes), transcript=transcript))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assets, "_FOLDERS", (tmp_path / "shipped",))
    small_dataset(Path("dataset.h5"))
    return tmp_path


def evaluate(*arguments: str) -> ReadPage:
    result = CliRunner().invoke(app, ["evaluate", *arguments, "--report", "report.html"])
    assert result.exit_code == 0, result.output
    return read_page(Path("report.html"))


def check_row(page: ReadPage, names: list[str], row: MetricRow, *others: str) -> None:
    """The table row that begins with `names` holds the figure, to its last digit."""
    found = [k for k, cells in enumerate(page.rows) if cells[: len(names)] == names]
    assert len(found) == 1, names
    values = page.values[found[0]]
    assert values[:3] == [row.value, row.low, row.high]
    assert values[3] == len(row.clip_ids)
    assert {row.unit, row.region, *others} <= set(page.rows[found[0]])


def test_every_figure_of_the_metrics_is_there(folder: Path) -> None:
    write_samples(Path("plain.h5"), noise=0.05)
    write_samples(Path("rough.h5"), noise=0.1)
    page = evaluate("plain.h5", "rough.h5")
    check_needs_no_network(page)
    found = read_comparison(Path("metrics.h5"))
    captions = [element.text for element in page.all("figcaption")]
    titles = [element.text for element in page.all("title")]
    assert len(found["plain"][0]) > 10
    for label, (rows, differences) in found.items():
        for row in rows:
            whose = "true motion" if row.name.endswith("-truth") else label
            check_row(page, [row.name, whose], row, row.formula)
            for clip_id, value in zip(row.clip_ids, row.per_clip, strict=True):
                unit = "" if row.unit == "1" else row.unit
                assert f"{clip_id}: {value:.4g} {unit}" in titles
            region = f"region {row.region} ({row.region_hash})" if row.region else "no region"
            assert any(c.startswith(f"{row.formula}; unit {row.unit}; {region}; N = 4 clips") for c in captions), (
                row.name
            )
        for row in differences:
            check_row(page, [f"{label} − plain", row.name], row)
    assert len(differences) > 10
    # Every figure says on how many it stands.
    assert all("N = " in caption for caption in captions)
    formulas = " ".join(element.text for element in page.all("pre"))
    assert "S-DIV: mean over pairs of takes, frames and vertices of the L2 distance" in formulas
    for path in ("plain.h5", "rough.h5", "dataset.h5"):
        assert sha256_of_file(Path(path)) in page.text
    assert "Differences" in [element.text for element in page.all("h2")]


def test_one_file_without_truth_or_takes_has_what_it_can(folder: Path) -> None:
    write_samples(Path("samples.h5"), noise=0.05, num_takes=1, transcript=EVIL)
    Path("dataset.h5").unlink()
    page = evaluate()
    check_needs_no_network(page)
    (row,) = (row for row in read_metrics(Path("metrics.h5")) if row.name == "jitter")
    check_row(page, ["jitter"], row)
    assert "Differences" not in [element.text for element in page.all("h2")]
    assert "nothing to compare on the surface" in page.text
    # What the user wrote is shown as it is: the transcript, and the command in the provenance of the samples.
    assert f"“{EVIL}”" in page.text
    assert f"thunder {EVIL}" in page.text
    assert page.all("b") == []


def test_clips_are_ranked_and_curves_are_the_lip_opening(folder: Path) -> None:
    write_samples(Path("samples.h5"), noise=0.05)
    page = evaluate("--metrics", "lve,s-div")
    row = next(row for row in read_metrics(Path("metrics.h5")) if row.name == "lve")
    ranked = [row.clip_ids[k] for k in np.argsort(row.per_clip)]
    shown = [e.text for e in page.all("h3") if "by lve" in e.text]
    assert [title.split(": ")[1].split(",")[0] for title in shown] == [ranked[0], ranked[1], ranked[3]]
    assert [title.split()[0] for title in shown] == ["best", "median", "worst"]
    # Where more is better, the greatest comes first.
    page = evaluate("--metrics", "l-ccc", "--force")
    row = next(row for row in read_metrics(Path("metrics.h5")) if row.name == "l-ccc")
    best = next(e.text for e in page.all("h3") if e.text.startswith("best by l-ccc"))
    assert f": {row.clip_ids[np.argmax(row.per_clip)]}," in best
    page = evaluate("--metrics", "lve,s-div", "--force")
    # The curve of the recorded lips against the distance of the two landmarks, by whole-array numpy.
    text = Path("report.html").read_text()
    steps = re.findall(r'<path d="([^"]*)" class="line truth"', text)[0]
    points = np.array([[float(v) for v in step.split()] for step in re.split("[ML]", steps)[1:]])
    with open_clips(Path("dataset.h5")) as dataset:
        motion = dataset.read(ranked[0]).motion
    places = build_head(small_head()).vertices(torch.from_numpy(motion), pose=False).numpy()
    marks = small_head().landmarks
    gap = np.linalg.norm(places[:, marks["lip_top"]] - places[:, marks["lip_bottom"]], axis=-1)
    assert np.corrcoef(-points[:, 1], gap)[0, 1] > 0.9999
    np.testing.assert_allclose(np.diff(points[:, 0]), np.diff(points[:, 0]).mean(), atol=0.11)
    # As many faces as are announced, none of them empty.
    images = [base64.b64decode(e.attributes["href"].split(",")[1]) for e in page.all("image")]
    assert len(images) >= 3 * 2 * 3 + 2
    assert all(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).std() > 5 for data in images)


def test_the_surface_is_that_of_the_takes(folder: Path) -> None:
    write_samples(Path("samples.h5"), noise=0.05)
    page = evaluate("--metrics", "lve,s-div")
    spread, error = [], []
    head = build_head(small_head())
    with open_clips(Path("samples.h5")) as samples, open_clips(Path("dataset.h5")) as dataset:
        for clip_id in samples:
            clip, truth = samples.read(clip_id), dataset.read(clip_id)
            frames = np.linspace(0, clip.num_frames - 1, FRAMES).round().astype(int)
            takes = head.vertices(torch.from_numpy(clip.motion[:, frames]), pose=False).numpy()
            true = head.vertices(torch.from_numpy(truth.motion[frames]), pose=False).numpy()
            pairs = [np.linalg.norm(a - b, axis=-1).mean(0) for a, b in combinations(takes, 2)]
            spread.append(1000 * np.mean(pairs, axis=0))
            error.append(1000 * np.linalg.norm(takes - true, axis=-1).mean((0, 1)))
    for what, values in (
        ("S-DIV of each vertex", np.mean(spread, 0)),
        ("mean over takes and frames", np.mean(error, 0)),
    ):
        caption = next(e.text for e in page.all("figcaption") if e.text.startswith(what))
        assert (
            f"mean {values.mean():.3g}, greatest {values.max():.3g}; N = 4 clips, 3 takes, 16 frames a clip" in caption
        )
        assert "unit mm; all 64 vertices" in caption


def test_a_report_that_exists_is_kept_and_nothing_is_measured(folder: Path) -> None:
    write_samples(Path("samples.h5"), noise=0.05)
    Path("report.html").write_text("mine")
    result = CliRunner().invoke(app, ["evaluate", "--report", "report.html"])
    assert result.exit_code == 1
    assert "report.html: exists already" in " ".join(result.stderr.split())
    assert Path("report.html").read_text() == "mine"
    assert not Path("metrics.h5").exists()


def test_samples_of_another_rate_are_not_compared(folder: Path) -> None:
    write_samples(Path("plain.h5"), noise=0.05)
    with (
        open_clips(Path("plain.h5")) as samples,
        write_clips(Path("other.h5"), "thunder.samples", small_head(), Provenance(seed=0), force=True) as to,
    ):
        for clip_id in samples:
            clip = small_clip(clip_id, num_frames=36, fps=30.0)
            to.add(replace(clip, motion=clip.motion[None], seed=np.zeros(1, int)))
    result = CliRunner().invoke(app, ["evaluate", "plain.h5", "other.h5", "--report", "report.html"])
    assert result.exit_code == 1
    assert "25 fps, other.h5 30" in result.stderr
    assert not Path("report.html").exists()
