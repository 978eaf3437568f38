from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.corpora.layout import open_corpus
from stages.corpora.vocaset import OFFICIAL_SPLITS
from stages.runtime.errors import ThunderError
from tests.corpora.written import (
    TEST,
    TRAIN,
    VAL,
    dump,
    face_mesh,
    vocaset_templates,
    write_ply,
    write_vocaset,
    write_vocaset_processed,
)

Sequences = dict[tuple[str, str], np.ndarray]
WRITERS = pytest.mark.parametrize("write", [write_vocaset, write_vocaset_processed])


def test_official_splits() -> None:
    assert Counter(OFFICIAL_SPLITS.values()) == {"train": 8 * 40, "val": 2 * 20, "test": 2 * 20}
    assert OFFICIAL_SPLITS["FaceTalk_170912_03278_TA", 40] == "train"
    assert OFFICIAL_SPLITS["FaceTalk_170908_03277_TA", 21] == "val"
    assert OFFICIAL_SPLITS["FaceTalk_170731_00024_TA", 40] == "test"
    assert ("FaceTalk_170731_00024_TA", 20) not in OFFICIAL_SPLITS


@WRITERS
def test_every_frame_comes_back(tmp_path: Path, write: Callable[[Path], Sequences]) -> None:
    written = write(tmp_path)
    corpus = open_corpus(tmp_path)
    assert corpus.layout == ("vocaset" if write is write_vocaset else "vocaset-processed")
    assert not corpus.problems
    assert corpus.fps == 30.0
    assert {r.id: r.split for r in corpus.recordings} == {
        f"{TRAIN}_sentence01": "train",
        f"{TRAIN}_sentence02": "train",
        f"{VAL}_sentence21": "val",
        f"{TEST}_sentence40": "test",  # sentence 1 of a test subject belongs to no split
    }
    for recording in corpus.recordings:
        subject, sequence = recording.id.rsplit("_", 1)
        clip = recording.read()
        assert clip.fps == 60.0
        np.testing.assert_array_equal(clip.vertices[:], written[subject, sequence])
        assert recording.frames is not None
        assert len(recording.frames) == len(clip.vertices)
        np.testing.assert_array_equal(recording.frames[::7], clip.vertices[::7])
        assert len(clip.waveform) == pytest.approx(len(clip.vertices) / 60 * 16_000, abs=2)
        assert 0.1 < np.abs(clip.waveform).max() < 0.5  # 16-bit samples became -1..1
    texts = {r.id: r.read().transcript for r in corpus.recordings}
    assert texts[f"{TRAIN}_sentence02"] == "The second sentence."
    assert texts[f"{VAL}_sentence21"] == ""


@WRITERS
def test_the_head_has_the_corpus_order_and_parts(tmp_path: Path, write: Callable[[Path], Sequences]) -> None:
    write(tmp_path)
    corpus = open_corpus(tmp_path)
    template, faces, lips = face_mesh()
    np.testing.assert_array_equal(corpus.head.faces, faces)
    np.testing.assert_allclose(corpus.head.template, template, atol=1e-6)  # the mean of scales 1, 1.05 and 0.95
    np.testing.assert_array_equal(corpus.head.regions["lips"], lips)
    for subject, face in vocaset_templates().items():
        np.testing.assert_allclose(corpus.templates[subject], face, atol=1e-7)
    place = {name: template[index] for name, index in corpus.head.landmarks.items()}
    np.testing.assert_allclose(place["lip_bottom"][:2], [0.0, -0.04], atol=1e-6)
    np.testing.assert_allclose(place["lip_top"][:2], [0.0, -0.0395], atol=1e-6)
    assert place["mouth_left"][0] == pytest.approx(0.03)
    assert place["mouth_right"][0] == pytest.approx(-0.03)
    np.testing.assert_allclose(place["nose_tip"][:2], [0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(place["chin"][:2], [0.0, -0.07], atol=1e-6)
    mouth, upper = (set(corpus.head.regions[name].tolist()) for name in ("mouth", "upper_face"))
    assert set(lips.tolist()) < mouth
    assert upper
    assert not upper & mouth


def test_absent_sequences_are_a_remark(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    (remark,) = open_corpus(tmp_path).remarks
    assert remark.startswith(
        "396 of 400 sequences of the official splits are not there: FaceTalk_170728_03272_TA_sentence03"
    )


def test_lips_from_a_file(tmp_path: Path) -> None:
    write_vocaset(tmp_path / "voca", masks=False)
    _, _, lips = face_mesh()
    with pytest.raises(ThunderError, match=r"FLAME_masks\.pkl: missing.*flame\.is\.tue\.mpg\.de.*--lips FILE"):
        open_corpus(tmp_path / "voca")
    (tmp_path / "lips.txt").write_text(", ".join(map(str, lips[::-1])))
    np.save(tmp_path / "lips.npy", lips)
    dump(tmp_path / "masks.pkl", {"lips": lips})
    for name in ("lips.txt", "lips.npy", "masks.pkl"):
        corpus = open_corpus(tmp_path / "voca", lips_path=tmp_path / name)
        np.testing.assert_array_equal(corpus.head.regions["lips"], lips)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "holds no vertex index; FLAME_masks.pkl comes with FLAME"),
        ("1 2 three", "wanted vertex indices"),
        ("1 2.5", "whole numbers"),
        ("1 99999", "but the mesh has 320"),
        ("-1 4", "but the mesh has 320"),
        ("0 14 300 314", "cannot be lips of this mesh"),
    ],
)
def test_lips_that_are_none(tmp_path: Path, content: str, named: str) -> None:
    write_vocaset(tmp_path / "voca", masks=False)
    (tmp_path / "lips.txt").write_text(content)
    with pytest.raises(ThunderError, match=named):
        open_corpus(tmp_path / "voca", lips_path=tmp_path / "lips.txt")


@pytest.mark.parametrize("name", ["data_verts.npy", "raw_audio_fixed.pkl", "subj_seq_to_idx.pkl", "templates.pkl"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    write_vocaset(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ThunderError, match=name):
        open_corpus(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ThunderError, match=name):
        open_corpus(tmp_path)


def test_a_missing_or_foreign_ply_is_named(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    ply = tmp_path / "templates" / "FLAME_sample.ply"
    template, faces, _ = face_mesh()
    write_ply(ply, template[:-5], faces[(faces < len(template) - 5).all(axis=1)])
    with pytest.raises(ThunderError, match=r"FLAME_sample\.ply: 315 vertices .* wanted 320"):
        open_corpus(tmp_path)
    ply.write_text("not a mesh")
    with pytest.raises(ThunderError, match=r"FLAME_sample\.ply: not a mesh"):
        open_corpus(tmp_path)
    ply.unlink()
    with pytest.raises(ThunderError, match=r"FLAME_sample\.ply is missing"):
        open_corpus(tmp_path)


def test_pieces_of_a_raw_sequence_that_do_not_fit_are_named(tmp_path: Path) -> None:
    sequences = write_vocaset(tmp_path)
    templates = vocaset_templates()
    del templates[VAL]
    dump(tmp_path / "templates.pkl", templates)
    index = {s: {q: {0: 0, 1: 1} for (t, q) in sequences if t == s} for s in (TRAIN, VAL, TEST)}
    index[TRAIN]["sentence01"] = {0: 10**6}
    dump(tmp_path / "subj_seq_to_idx.pkl", index)
    sound = {"sample_rate": 22_000, "audio": np.ones(2_000, "i2")}
    dump(
        tmp_path / "raw_audio_fixed.pkl",
        {TRAIN: {"sentence01": sound}, VAL: {"sentence21": sound}, TEST: {"sentence40": sound}},
    )
    corpus = open_corpus(tmp_path)
    problems = {p.item: p.reason for p in corpus.problems}
    assert "rows of data_verts.npy, 0 to 224" in problems[f"{TRAIN}_sentence01"]
    assert (
        f"1 of 400 sequences of the official splits have no sound and are left out: {TRAIN}_sentence02"
        in corpus.remarks
    )
    assert f"templates.pkl has no template of {VAL}" in problems[f"{VAL}_sentence21"]
    assert [r.id for r in corpus.recordings] == [f"{TEST}_sentence40"]


def test_pieces_of_a_processed_sequence_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_vocaset_processed(tmp_path)
    (tmp_path / "wav" / f"{TRAIN}_sentence01.wav").unlink()
    np.save(tmp_path / "vertices_npy" / f"{TRAIN}_sentence02.npy", np.zeros((10, 15), "f4"))
    np.save(tmp_path / "vertices_npy" / f"{VAL}_sentence21.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    corpus = open_corpus(tmp_path)
    problems = {p.item: p.reason for p in corpus.problems}
    assert (
        f"1 of 400 sequences of the official splits have no sound and are left out: {TRAIN}_sentence01"
        in corpus.remarks
    )
    assert "wanted (frames, 960) or (frames, 320, 3), found (10, 15)" in problems[f"{TRAIN}_sentence02"]
    assert "not a .npy array" in problems[f"{VAL}_sentence21"]


def test_nan_in_the_vertices_is_named(tmp_path: Path) -> None:
    write_vocaset_processed(tmp_path)
    path = tmp_path / "vertices_npy" / f"{TEST}_sentence40.npy"
    values = np.load(path)
    values[3, 5] = np.nan
    np.save(path, values)
    recording = next(r for r in open_corpus(tmp_path).recordings if r.subject == TEST)
    with pytest.raises(ThunderError, match=r"sentence40\.npy: NaN or infinity"):
        recording.read().vertices[:]


def test_foreign_sequences_only(tmp_path: Path) -> None:
    write_vocaset_processed(tmp_path)
    for path in (tmp_path / "vertices_npy").iterdir():
        path.rename(path.with_name(path.name.replace("FaceTalk", "Other")))
    with pytest.raises(ThunderError, match="no sequence of the official splits"):
        open_corpus(tmp_path)


def test_a_pickle_that_runs_code_stops_the_corpus(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    (tmp_path / "templates.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "created").encode() + b"'\ntR.")
    with pytest.raises(ThunderError, match=r"templates\.pkl: the pickle asks for os\.system"):
        open_corpus(tmp_path)
    assert not (tmp_path / "created").exists()


def test_a_corpus_of_which_nothing_can_be_used_says_why(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    dump(tmp_path / "subj_seq_to_idx.pkl", {TRAIN: {"sentence01": {0: 10**7}}})
    with pytest.raises(
        ThunderError, match=r"nothing to write, 1 of 1 recordings failed: .*_sentence01: .* wanted rows of"
    ):
        open_corpus(tmp_path)


def test_templates_that_are_another_kind_of_file_take_one_line(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    (tmp_path / "templates.pkl").write_bytes(b"PK\x03\x04" + b"0" * 50)  # as torch.save writes
    with pytest.raises(ThunderError, match=r"not a pickle that can be read .*; download or copy it again") as refusal:
        open_corpus(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_folder_of_lips_is_refused(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    (tmp_path / "mouth").mkdir()
    with pytest.raises(ThunderError, match="mouth: a folder, wanted a file of vertex indices"):
        open_corpus(tmp_path, layout="vocaset", lips_path=tmp_path / "mouth")
