"""`thunder inspect`: what an artifact is and holds, and the pages of it."""

import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stages.artifacts.checkpoint import Checkpoint, write_checkpoint
from stages.artifacts.clips import SAMPLE_RATE_HZ, write_clips
from stages.artifacts.metrics_file import MetricRow, write_metrics
from stages.inspect import describe_artifact, report_artifact
from stages.runtime.assets import asset_path
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_dataset, small_head
from tests.pages.reading import ReadPage, check_needs_no_network, read_page
from thunder_cli.app import app


def test_a_dataset_is_described(tmp_path: Path) -> None:
    found = describe_artifact(small_dataset(tmp_path / "a.h5", vertices=True), depth=3)
    assert found.attributes["schema"] == "thunder.dataset"
    assert found.attributes["seed"] == 0
    assert found.attributes["config"] == found.attributes["inputs"] == {}
    entries = {entry.path: (entry.shape, entry.dtype, entry.note) for entry in found.entries}
    assert entries["/clips/s0_clip/vertices"] == ("30×64×3", "float32", "axes=T,V,3 units=m")
    assert entries["/clips/s0_clip/waveform"] == ("19200", "int16", "axes=S sample_rate_hz=16000")
    assert entries["/clips/s0_clip/phones"][:2] == ("4", "table")
    assert entries["/head/features"] == ("55", "text", "axes=D")
    assert entries["/clips/"][:2] == ("4 items", "group")
    assert "transcript=hello" in entries["/clips/s0_clip/"][2]


def test_depth_counts_levels(tmp_path: Path) -> None:
    path = small_dataset(tmp_path / "a.h5")
    assert [e.path for e in describe_artifact(path, depth=1).entries] == ["/clips/", "/head/", "/subjects/"]
    assert max(e.path.rstrip("/").count("/") for e in describe_artifact(path, depth=2).entries) == 2


def test_many_clips_are_counted(tmp_path: Path) -> None:
    path = small_dataset(tmp_path / "a.h5", splits=("train",) * 15, num_frames=2)
    clips = [e for e in describe_artifact(path).entries if e.path.startswith("/clips/s") or e.path == "/clips/..."]
    assert len(clips) == 13
    assert (clips[-1].path, clips[-1].note) == ("/clips/...", "and 3 more")


def test_odd_attributes_and_links_are_shown_as_they_stand(tmp_path: Path) -> None:
    path = small_dataset(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = "{not json"
        file.attrs["numbers"] = [1, 2]
        file["lost"] = h5py.SoftLink("/nowhere")
    found = describe_artifact(path)
    assert found.attributes["config"] == "{not json"
    assert found.attributes["numbers"] == [1, 2]
    assert "/lost" in {entry.path for entry in found.entries if entry.dtype == "unreadable"}


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(ThunderError, match="not a readable HDF5 file"):
        describe_artifact(tmp_path / "a.h5")


def page_of(path: Path) -> ReadPage:
    report_artifact(path, path.with_suffix(".html"))
    page = read_page(path.with_suffix(".html"))
    check_needs_no_network(page)
    return page


def test_the_page_of_a_dataset_says_what_is_in_it_and_what_is_missing(tmp_path: Path) -> None:
    head = small_head()
    with write_clips(tmp_path / "a.h5", "thunder.dataset", head, Provenance(seed=0), force=True) as writer:
        for k, (split, transcript) in enumerate([("train", "a <b>"), ("train", ""), ("test", "c")]):
            clip = small_clip(f"clip{k}", num_frames=30 + 15 * k, split=split, transcript=transcript, subject=f"p{k}")
            # One has no phones, and one half a second more of sound than of motion.
            clip = replace(clip, phones=() if k == 0 else clip.phones)
            longer = np.concatenate([clip.waveform, clip.waveform[:8000]])
            writer.add(replace(clip, waveform=longer) if k == 2 else clip)
    page = page_of(tmp_path / "a.h5")
    assert "3 clips, 0.1 minutes of speech, 3 speakers." in page.text
    rows = dict(zip((row[0] for row in page.rows), page.values, strict=True))
    assert rows["train"] == [2, pytest.approx((1.2 + 1.8) / 60), 2, 30 + 45]
    assert rows["test"] == [1, pytest.approx((2.4 + 0.5) / 60), 1, 60]
    which = {row[0]: row[-1] for row in page.rows}
    assert {"transcript": "clip1", "times of phones": "clip0", "language": ""}.items() <= which.items()
    assert which["sound and motion that end within 2 frames of each other"] == "clip2"
    assert rows["transcript"] == [1, pytest.approx(100 / 3)]
    # Exact vertices are nothing that a blendshape head lacks.
    assert "exact vertices" not in which
    assert len(page.all("image")) == 3


def test_the_page_of_a_dataset_hears_how_late_its_lips_are(tmp_path: Path) -> None:
    head = small_head()
    rng = np.random.default_rng(0)
    with write_clips(tmp_path / "a.h5", "thunder.dataset", head, Provenance(seed=0), force=True) as writer:
        for k in range(6):
            clip = small_clip(f"clip{k}", num_frames=200, subject=f"p{k % 2}", seed=k)
            smooth = np.convolve(rng.normal(size=240), np.hanning(9), "same")[20:220]
            motion = np.zeros_like(clip.motion)
            motion[:, head.features.index("jawOpen")] = 0.5 + 0.1 * smooth
            # Loud when the jaw will be open 80 ms later.
            time = np.arange(len(clip.waveform)) / SAMPLE_RATE_HZ
            loudness = np.exp(0.5 * np.interp(time + 0.08, np.arange(200) / 25, smooth))
            sound = (1000 * loudness * rng.normal(size=len(time))).clip(-32767, 32767).astype("i2")
            writer.add(replace(clip, motion=motion, waveform=sound))
    page = page_of(tmp_path / "a.h5")
    found = re.search(r"Lips open most (\d+) ms later than the sound is loudest \(correlation (0\.\d+)\)", page.text)
    assert found is not None
    assert float(found[1]) == pytest.approx(80, abs=10)
    assert float(found[2]) > 0.8
    dots = [e.text for e in page.all("title") if re.fullmatch(r"p\d: .* ms", e.text)]
    assert [float(dot.split()[1]) for dot in dots] == pytest.approx([80, 80], abs=12)


def test_the_page_of_a_model_draws_its_training(tmp_path: Path) -> None:
    steps = np.arange(0, 100, 10.0)
    curves = {"train.loss": np.stack([steps, 5 - steps / 25], 1), "val.loss": np.array([[50, 3.5], [99, 2.25]])}
    model = Checkpoint({"dim": 8}, {"w": np.zeros((3, 5), "f4")}, {}, small_head(), curves)
    write_checkpoint(
        tmp_path / "a.h5", "thunder.diffusion", model, Provenance(seed=3, config={"steps": 99}), force=True
    )
    page = page_of(tmp_path / "a.h5")
    assert "A diffusion checkpoint of 15 parameters." in page.text
    assert [e.text for e in page.all("h3")] == ["loss", "small test head, at rest"]
    assert "train ends at 1.4 after 10 points; val ends at 2.25 after 2 points" in page.text
    drawn = [e for e in page.all("path") if e.attributes["class"].startswith("line")]
    assert [e.attributes["d"].count("L") + 1 for e in drawn] == [10, 2]
    assert [e.text for e in page.all("pre")] == ['{\n "dim": 8\n}', '{\n "steps": 99\n}']


def test_the_page_of_metrics_has_their_figures(tmp_path: Path) -> None:
    row = MetricRow(
        "lve",
        "mm²",
        "metrics.geometry.lip_vertex_error",
        "lips",
        "abc",
        2.5,
        1.25,
        3.75,
        ("a", "b"),
        np.array([1, 4.0]),
        better="less",
    )
    write_metrics(tmp_path / "a.h5", [row], Provenance(seed=0), force=True)
    page = page_of(tmp_path / "a.h5")
    assert page.rows[1] == [
        "lve",
        "2.5",
        "1.25 .. 3.75",
        "mm²",
        "less",
        "lips",
        "2",
        "metrics.geometry.lip_vertex_error",
    ]
    assert "LVE:" in page.all("pre")[0].text


def test_a_page_is_made_on_the_command_line_and_an_existing_one_kept(tmp_path: Path) -> None:
    path, report = str(small_dataset(tmp_path / "a.h5", num_frames=4)), tmp_path / "a.html"
    result = CliRunner().invoke(app, ["inspect", path, "--report", str(report)])
    assert result.exit_code == 0
    assert result.stdout.split() == ["wrote", str(report)]
    assert read_page(report).all("h1")[0].text == "Dataset a.h5"
    assert CliRunner().invoke(app, ["inspect", path, "--report", str(report)]).exit_code == 1
    assert CliRunner().invoke(app, ["inspect", path, "--report", str(report), "--force"]).exit_code == 0
    assert CliRunner().invoke(app, ["inspect", path, "--report", path, "--force"]).exit_code == 1
    with pytest.raises(ThunderError, match="of which there is no page"):
        report_artifact(asset_path("head.h5"), tmp_path / "head.html")
