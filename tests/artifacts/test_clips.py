"""Datasets and samples: what is written, what comes back, what is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stages.artifacts.clips import Clip, Phone, open_clips, read_phones_json, write_clips
from stages.artifacts.head_record import HeadRecord
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_dataset, small_head

HEAD = small_head()
TEMPLATE = HEAD.template + np.float32(0.001)


def write(path: Path, *clips: Clip, schema: str = "thunder.dataset", head: HeadRecord = HEAD) -> Path:
    with write_clips(path, schema, head, Provenance(seed=0), force=True, subjects={"ann": TEMPLATE}) as writer:
        for clip in clips:
            writer.add(clip)
    return path


def sampled(clip_id: str = "hello", **changes: Any) -> Clip:
    clip = small_clip(clip_id, head=HEAD)
    takes = np.stack([clip.motion, clip.motion + 1])
    fields = {"motion": takes, "seed": np.array([5, 2**40]), "audio_consistency": np.array([0.5, 0.25], "f4")}
    return dataclasses.replace(clip, **(fields | changes))


def equal(found: Clip, wanted: Clip) -> None:
    for field in dataclasses.fields(Clip):
        value, expected = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(value, expected, err_msg=field.name)
        else:
            assert value == expected, field.name


def test_a_dataset_comes_back(tmp_path: Path) -> None:
    clip = small_clip(
        "Ann-1.b_c", head=HEAD, vertices=True, transcript="Grüß Gott, 你好 🙂", emotion="happy", fps=29.97
    )
    clip = dataclasses.replace(clip, intensity=0.5, vertices=clip.vertices.astype("f4"))  # type: ignore[union-attr]
    with open_clips(write(tmp_path / "a.h5", clip)) as file:
        equal(file.read(clip.id, vertices=True), clip)
        assert file.read(clip.id).vertices is None
        assert file.has_vertices(clip.id)
        summary = file.summary(clip.id)
        assert (summary.num_frames, summary.fps, summary.subject, summary.split) == (30, 29.97, "ann", "train")
        assert summary.duration_s == clip.duration_s == len(clip.waveform) / 16_000
        np.testing.assert_array_equal(file.template("ann"), TEMPLATE)
        np.testing.assert_array_equal(file.template("another"), HEAD.template)
        np.testing.assert_array_equal(file.template(""), HEAD.template)


def test_samples_come_back(tmp_path: Path) -> None:
    with open_clips(write(tmp_path / "a.h5", sampled(), schema="thunder.samples"), "thunder.samples") as file:
        equal(file.read("hello"), sampled())
        assert file.read("hello").num_frames == file.summary("hello").num_frames == 30


def test_clips_are_listed_by_split(tmp_path: Path) -> None:
    with open_clips(small_dataset(tmp_path / "a.h5")) as file:
        assert list(file) == file.ids() == ["s0_clip", "s1_clip", "s2_clip", "s3_clip"]
        assert (len(file), file.ids("train"), file.ids("val")) == (4, ["s0_clip", "s1_clip"], ["s2_clip"])
        assert file.subjects == ("s0", "s1", "s2", "s3")
        assert "s0_clip" in file
        assert "s9" not in file


def test_every_array_of_a_dataset_has_axes_and_units(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5", small_clip("c", head=HEAD, vertices=True)), "r") as file:
        assert layout(file["clips/c"]) == {
            "motion": ("T,D", None, "float32"),
            "phones": ("P", "s", "object"),
            "vertices": ("T,V,3", "m", "float32"),
            "waveform": ("S", None, "int16"),
        }
        assert file["clips/c/phones"].dtype.names == ("start_s", "end_s", "label")
        assert file["clips/c/waveform"].attrs["sample_rate_hz"] == 16_000
        names = {"subject", "emotion", "intensity", "language", "transcript", "split", "fps"}
        assert set(file["clips/c"].attrs) == names
        assert layout(file["subjects/ann"]) == {"template": ("V,3", "m", "float32")}


def test_every_array_of_samples_has_axes(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5", sampled("c"), schema="thunder.samples"), "r") as file:
        assert layout(file["clips/c"]) == {
            "audio_consistency": ("N", None, "float32"),
            "motion": ("N,T,D", None, "float32"),
            "phones": ("P", "s", "object"),
            "seed": ("N", None, "int64"),
            "waveform": ("S", None, "int16"),
        }


def layout(group: h5py.Group) -> dict[str, tuple[str, str | None, str]]:
    """Name -> axes, units and type."""
    return {
        name: (item.attrs["axes"], item.attrs.get("units"), "object" if item.dtype.names else str(item.dtype))
        for name, item in group.items()
    }


# Refused when written


@pytest.mark.parametrize("clip_id", ["", "a b", "a/b", "..", ".", "ä", "a\n", "a:b"])
def test_ids_that_are_refused(tmp_path: Path, clip_id: str) -> None:
    with pytest.raises(ThunderError, match="only letters, digits") as error:
        write(tmp_path / "a.h5", small_clip(clip_id, head=HEAD))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_id_stands_once(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"clip 'c' stands twice"):
        write(tmp_path / "a.h5", small_clip("c", head=HEAD), small_clip("c", head=HEAD))
    assert list(tmp_path.iterdir()) == []


GOOD = small_clip("c", head=HEAD, vertices=True)
NAN_MOTION = np.where(np.arange(GOOD.motion.size).reshape(GOOD.motion.shape) == 7, np.nan, GOOD.motion)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"split": "dev"}, "split wanted train, val, test, found 'dev'"),
        ({"fps": 0.0}, "fps wanted 1 to 1000"),
        ({"fps": float("nan")}, "fps wanted 1 to 1000"),
        ({"transcript": "a\0b"}, "transcript holds a zero character"),
        ({"motion": GOOD.motion[:, :54]}, r"motion wanted shape (T, 55), found (30, 54)"),
        ({"motion": GOOD.motion[None]}, r"motion wanted shape (T, 55), found (1, 30, 55)"),
        ({"motion": GOOD.motion[:0]}, r"motion wanted shape (T, 55), found (0, 55)"),
        ({"motion": NAN_MOTION}, "motion holds NaN or infinity"),
        ({"vertices": np.zeros((30, 63, 3))}, r"vertices wanted shape (30, 64, 3), found (30, 63, 3)"),
        ({"vertices": np.full((30, 64, 3), np.inf)}, "vertices holds NaN or infinity"),
        ({"waveform": GOOD.waveform.astype("f4")}, "waveform wanted int16 (S,) with S > 0, found float32"),
        ({"waveform": GOOD.waveform[:0]}, "waveform wanted int16 (S,) with S > 0"),
        ({"waveform": GOOD.waveform[None]}, "waveform wanted int16 (S,) with S > 0"),
        ({"phones": (Phone(0.2, 0.1, "AA"),)}, "phone 'AA' wanted start_s <= end_s"),
        ({"phones": (Phone(0.2, float("nan"), "AA"),)}, "phone 'AA' wanted start_s <= end_s"),
    ],
)
def test_clips_that_are_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ThunderError) as error:
        write(tmp_path / "a.h5", dataclasses.replace(GOOD, **changes))
    assert f"clip 'c': {expected}" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"motion": GOOD.motion}, "motion wanted shape (N, T, 55), found (30, 55)"),
        ({"motion": np.zeros((0, 30, 55))}, "motion wanted shape (N, T, 55), found (0, 30, 55)"),
        ({"seed": np.arange(3)}, "seed wanted shape (2), found (3,)"),
        ({"audio_consistency": np.array([1.0, np.nan])}, "audio_consistency holds NaN"),
    ],
)
def test_samples_that_are_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ThunderError) as error:
        write(tmp_path / "a.h5", sampled(**changes), schema="thunder.samples")
    assert expected in str(error.value)


# Refused when read


def replaced(file: h5py.File, name: str, values: Any) -> None:
    del file[name]
    file[name] = values


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f.__delitem__("clips/c/motion"), "clips/c/motion is missing"),
        (lambda f: f.__delitem__("clips/c/waveform"), "clips/c/waveform is missing"),
        (lambda f: f["clips/c"].attrs.__delitem__("subject"), "clip c: incomplete or damaged"),
        (lambda f: f["clips/c"].attrs.__setitem__("fps", "fast"), "clip c: incomplete or damaged"),
        (lambda f: f["clips/c"].attrs.__setitem__("fps", 0.5), "clip c: fps wanted 1 to 1000, found 0.5"),
        (lambda f: f["clips/c"].attrs.__setitem__("split", "dev"), "split wanted train, val, test"),
        (lambda f: replaced(f, "clips/c/motion", GOOD.motion[:, :3]), "motion wanted shape (T, 55), found (30, 3)"),
        (lambda f: replaced(f, "clips/c/motion", GOOD.motion[None]), "wanted 2 axes, found shape (1, 30, 55)"),
        (lambda f: replaced(f, "clips/c/motion", NAN_MOTION), "holds NaN or infinity"),
        (lambda f: replaced(f, "clips/c/waveform", np.zeros(9)), "waveform wanted int16"),
        (lambda f: replaced(f, "clips/c/vertices", np.zeros((30, 9, 3))), "vertices wanted shape (30, 64, 3)"),
        (lambda f: replaced(f, "clips/c/phones", np.zeros(3)), "clip c: incomplete or damaged"),
    ],
)
def test_damaged_clips_are_refused(tmp_path: Path, damage: Any, expected: str) -> None:
    path = write(tmp_path / "a.h5", GOOD)
    with h5py.File(path, "r+") as file:
        damage(file)
    with open_clips(path) as file, pytest.raises(ThunderError) as error:
        file.read("c", vertices=True)
    assert expected in str(error.value)
    assert str(path) in str(error.value)


def test_a_template_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", GOOD)
    with h5py.File(path, "r+") as file:
        replaced(file, "subjects/ann/template", np.zeros((9, 3)))
    with open_clips(path) as file, pytest.raises(ThunderError, match=r"wanted shape \(64, 3\), found \(9, 3\)"):
        file.template("ann")


def test_an_unknown_clip_is_refused_with_some_that_are_known(tmp_path: Path) -> None:
    with open_clips(write(tmp_path / "a.h5", GOOD)) as file, pytest.raises(ThunderError) as error:
        file.read("d")
    assert str(error.value).endswith("no clip 'd'; it holds 1 clip: c")


def test_a_file_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="holds no clips"), open_clips(write(tmp_path / "a.h5")):
        pass


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '[{"start_s": 0}]', '[{"start_s": "x", "end_s": 1, "label": "A"}]', "5"]
)
def test_phones_that_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ThunderError, match="wanted a JSON list of"):
        read_phones_json(tmp_path / "p.json")


def test_phones_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('[{"start_s": 0, "end_s": 0.25, "label": "HH"}]')
    assert read_phones_json(tmp_path / "p.json") == (Phone(0.0, 0.25, "HH"),)
