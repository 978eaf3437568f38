"""`describe_artifact`: what an artifact is and holds."""

from pathlib import Path

import h5py
import pytest

from stages.inspect import describe_artifact
from stages.runtime.errors import ThunderError
from tests.builders import small_dataset


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
