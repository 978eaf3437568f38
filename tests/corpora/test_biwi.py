import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stages.artifacts.clips import open_clips
from stages.corpora.biwi import official_splits
from stages.corpora.layout import open_corpus
from stages.preprocess import preprocess
from stages.runtime.errors import ThunderError
from tests.corpora.written import dump, face_mesh, lower_face, write_biwi
from thunder_cli.app import app


def test_official_splits() -> None:
    splits = official_splits("A")
    assert len(splits) == 6 * 40
    assert [splits["F2", n] for n in (1, 32, 33, 36, 37, 40)] == ["train", "train", "val", "val", "test", "test"]
    assert ("F1", 37) not in splits
    other = official_splits("B")
    assert sorted({s for (s, _), split in other.items() if split == "test"}) == [
        *("F1", "F5", "F6", "F7", "F8", "M1", "M2", "M6")
    ]
    assert ("F2", 37) not in other
    assert other["F2", 36] == "val"


def test_every_frame_comes_back(tmp_path: Path) -> None:
    written = write_biwi(tmp_path)
    corpus = open_corpus(tmp_path)
    assert (corpus.layout, corpus.fps, corpus.head.units, list(corpus.problems)) == ("biwi", 25.0, "unitless", [])
    assert {r.id: r.split for r in corpus.recordings} == {
        f"{s}_e{n}": split for s in ("F2", "M3") for n, split in (("01", "train"), ("33", "val"), ("37", "test"))
    }
    for recording in corpus.recordings:
        assert recording.frames is not None
        np.testing.assert_array_equal(recording.frames[:], written[recording.id])
        clip = recording.read()
        assert clip.fps == 25.0
        assert len(clip.waveform) == pytest.approx(len(recording.frames) / 25 * 16_000, abs=2)
    texts = {r.id: r.read().transcript for r in corpus.recordings}
    assert texts["F2_e01"] == "The first of them."
    assert texts["M3_e37"] == "A later one, with 2 numbers."
    assert texts["M3_e33"] == ""
    template, _, lips = face_mesh()
    np.testing.assert_array_equal(corpus.head.regions["lips"], lower_face())
    np.testing.assert_array_equal(corpus.head.regions["upper_face"], np.flatnonzero(template[:, 1] > 0.05))
    assert any(
        remark.startswith("234 of 240 sequences of the official splits are not there") for remark in corpus.remarks
    )
    assert any("2 sequences are in no split and left out (F1_e37, ...); --biwi-test B" in r for r in corpus.remarks)
    assert any("no unit of length" in remark for remark in corpus.remarks)
    # The corners end the slit, at x = 0.03 and y = -0.04, however wide the region is; the chin lies below.
    landmarks = {name: template[vertex] for name, vertex in corpus.head.landmarks.items()}
    np.testing.assert_allclose(landmarks["mouth_left"][:2], [0.03, -0.04], atol=1e-6)
    np.testing.assert_allclose(landmarks["mouth_right"][:2], [-0.03, -0.04], atol=1e-6)
    assert landmarks["chin"][1] < -0.06
    assert set(corpus.head.regions["mouth"]) >= set(lips)


def test_the_other_test_set(tmp_path: Path) -> None:
    write_biwi(tmp_path)
    corpus = open_corpus(tmp_path, biwi_test="B")
    assert [r.id for r in corpus.recordings if r.split == "test"] == ["F1_e37", "F1_e38"]
    with pytest.raises(ThunderError, match="--biwi-test C: wanted A or B"):
        open_corpus(tmp_path, biwi_test="C")


def test_a_dataset_without_a_unit_says_so(tmp_path: Path) -> None:
    written = write_biwi(tmp_path / "b")
    result = CliRunner().invoke(app, ["preprocess", str(tmp_path / "b"), "-o", str(tmp_path / "d.h5")])
    assert result.exit_code == 0
    assert "units mean" in result.stdout
    assert " mm" not in result.stdout
    with open_clips(tmp_path / "d.h5") as dataset:
        assert dataset.head.units == "unitless"
        np.testing.assert_array_equal(dataset.read("M3_e01", vertices=True).vertices, written["M3_e01"])
        assert "lips_mean_units" in dataset.file["head/reconstruction"].attrs
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "d.h5"), "--json"])
    note = next(e["note"] for e in json.loads(shown.stdout)["entries"] if e["path"] == "/head/reconstruction/")
    assert "explained_variance=" in note
    assert "lips_max_units=" in note


def test_templates_in_two_scales_are_caught(tmp_path: Path) -> None:
    write_biwi(tmp_path)
    template, _, _ = face_mesh()
    dump(tmp_path / "templates.pkl", {"F1": 5 * template, "F2": 5 * template, "M3": template})
    with pytest.raises(ThunderError, match=r"the template of M3 is 0\.2 times as large as the others'"):
        open_corpus(tmp_path)
    dump(tmp_path / "templates.pkl", {"F1": template, "F2": template, "M3": template})
    with pytest.raises(ThunderError, match=r"F2_e01: first frame: 5 times the size of the template"):
        preprocess(tmp_path, tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("templates.pkl", "templates.pkl missing, wanted .*; the public code of CodeTalker"),
        ("BIWI.ply", "BIWI.ply missing, wanted .*; the public code of CodeTalker"),
        ("regions/lve.txt", "CodeTalker.*--lips FILE"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str, said: str) -> None:
    write_biwi(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ThunderError, match=said):
        open_corpus(tmp_path)


def test_missing_pieces_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_biwi(tmp_path)
    (tmp_path / "wav" / "F2_e01.wav").unlink()
    np.save(tmp_path / "vertices_npy" / "M3_e01.npy", np.zeros((4, 30), "f4"))
    (tmp_path / "regions" / "fdd.txt").unlink()
    corpus = open_corpus(tmp_path)
    problems = {p.item: p.reason for p in corpus.problems}
    assert "F2_e01.npy has no sound" in problems["F2_e01"]
    assert "wanted (frames, 960)" in problems["M3_e01"]
    assert len(corpus.recordings) == 4
    assert any("fdd.txt is missing" in remark for remark in corpus.remarks)
