import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from stages.artifacts.clips import open_clips
from stages.corpora.corpus import Corpus
from stages.corpora.flame import read_coefficients, read_flame
from stages.corpora.joint_rotations import joint_angles
from stages.heads.head import build_head
from stages.preprocess import preprocess
from stages.runtime.errors import ThunderError
from tests.corpora.written import face_mesh
from tests.corpora.written_flame import (
    angles,
    write_coefficients,
    write_flame,
    write_flame_corpus,
    write_masks,
)
from tests.heads.test_flame import reference
from thunder_cli.app import app

T = 30
EXPRESSION = np.random.default_rng(1).normal(0, 0.5, (T, 50)).astype("f4")
SHAPE = np.random.default_rng(2).normal(0, 1, 100).astype("f4")
HEAD, NECK, JAW, LEFT, RIGHT = (angles(T, seed) for seed in range(5))


def joined(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=1)


@pytest.fixture
def flame(tmp_path: Path) -> Path:
    write_flame(tmp_path / "model" / "flame.pkl")
    write_masks(tmp_path / "model" / "FLAME_masks.pkl")
    return tmp_path / "model" / "flame.pkl"


def read(folder: Path, flame: Path, **options: Any) -> Corpus:
    return read_flame(folder, flame, **options)


def motion_of(corpus: Corpus) -> dict[str, np.ndarray]:
    assert not corpus.problems, corpus.problems
    (recording,) = corpus.recordings
    motion = recording.read().motion
    assert motion is not None
    return dict(zip(corpus.head.features, motion.T, strict=True))


def assert_joint(motion: dict[str, np.ndarray], joint: str, wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(np.stack([motion[f"{joint}{axis}"] for axis in "XYZ"], axis=1), wanted)


# What the trackers write


@pytest.mark.parametrize(
    ("coefficients", "joints"),
    [
        # DiffPoseTalk, TFHP: float32, shape in every frame
        (
            {"exp": EXPRESSION, "pose": joined(HEAD, JAW), "shape": np.repeat(SHAPE[None], T, 0)},
            {"head": HEAD, "jaw": JAW},
        ),
        # EMOTE, INFERNO: a batch of one
        (
            {"exp": EXPRESSION[None], "jawpose": JAW[None], "globalpose": HEAD[None], "shape": SHAPE[None]},
            {"head": HEAD, "jaw": JAW},
        ),
        # EMOCA and DECA
        ({"expcode": EXPRESSION, "posecode": joined(HEAD, JAW), "shapecode": SHAPE}, {"head": HEAD, "jaw": JAW}),
        # smplx names
        (
            {"expression": EXPRESSION, "jaw_pose": JAW, "neck_pose": NECK, "global_orient": HEAD, "betas": SHAPE},
            {"head": HEAD, "neck": NECK, "jaw": JAW},
        ),
        # VHAP
        (
            {"expr": EXPRESSION, "jaw_pose": JAW, "neck_pose": NECK, "rotation": HEAD, "eyes_pose": joined(LEFT, RIGHT)}
            | {"shape": SHAPE, "translation": np.zeros((T, 3)), "static_offset": np.zeros((1, 5143, 3))},
            {"head": HEAD, "neck": NECK, "jaw": JAW, "eyeLeft": LEFT, "eyeRight": RIGHT},
        ),
        # all of FLAME's pose, double precision
        (
            {
                "Exp": EXPRESSION.astype("f8"),
                "Full_Pose": joined(HEAD, NECK, JAW, LEFT, RIGHT).astype("f8"),
                "betas": SHAPE,
            },
            {"head": HEAD, "neck": NECK, "jaw": JAW, "eyeLeft": LEFT, "eyeRight": RIGHT},
        ),
        # a pose of 3 is the jaw, or the head beside a jaw of its own
        ({"exp": EXPRESSION, "pose": JAW, "shape": SHAPE}, {"jaw": JAW}),
        ({"exp": EXPRESSION, "pose": HEAD, "jaw": JAW, "shape": SHAPE}, {"head": HEAD, "jaw": JAW}),
        # one pose for all frames, and a jaw that only opens
        (
            {"exp": EXPRESSION, "jaw": JAW[:, :1], "head_pose": HEAD[0], "shape": SHAPE},
            {"head": np.repeat(HEAD[:1], T, 0), "jaw": JAW * np.array([1, 0, 0], "f4")},
        ),
    ],
)
@pytest.mark.parametrize("form", ["npz", "npy"])
def test_every_trackers_keys_come_back_frame_for_frame(
    tmp_path: Path, flame: Path, coefficients: dict[str, Any], joints: dict[str, np.ndarray], form: str
) -> None:
    write_coefficients(tmp_path / "c" / "ann" / "a", coefficients | {"fps": np.array(25.0)}, T / 25, form=form)
    corpus = read(tmp_path / "c", flame)
    motion = motion_of(corpus)
    assert len(motion) == 50 + 3 * len(joints)
    np.testing.assert_array_equal(np.stack([motion[f"exp{k:03d}"] for k in range(50)], axis=1), EXPRESSION)
    for joint, wanted in joints.items():
        assert_joint(motion, joint, wanted)
    assert corpus.recordings[0].read().fps == 25.0
    shapes = np.moveaxis(write_flame(tmp_path / "again.pkl")["shapedirs"], 2, 0)
    wanted_face = face_mesh()[0] + np.tensordot(SHAPE, shapes[:100], axes=1)
    np.testing.assert_allclose(corpus.templates["ann"], wanted_face, atol=1e-6)


def rows_of_matrices(axis_angle: np.ndarray, count: int = 2) -> np.ndarray:
    """The first rows of rotation matrices, one after another (T, 3 count)."""
    matrices = Rotation.from_rotvec(axis_angle.astype("f8")).as_matrix()
    return matrices[:, :count].reshape(len(axis_angle), -1).astype("f4")


@pytest.mark.parametrize(("count", "tracker"), [(2, "MICA's tracker"), (3, "matrices")])
def test_rotations_may_be_rows_of_matrices(tmp_path: Path, flame: Path, count: int, tracker: str) -> None:
    coefficients = {
        "exp": EXPRESSION,
        "jaw": rows_of_matrices(JAW, count),
        "neck": rows_of_matrices(NECK, count) if count == 2 else Rotation.from_rotvec(NECK).as_matrix(),
        "eyes": joined(rows_of_matrices(LEFT, count), rows_of_matrices(RIGHT, count)),
        "shape": SHAPE[None],
        "eyelids": np.zeros((T, 2), "f4"),
        "R": np.ones((T, 6), "f4"),
        "translation": np.ones((T, 3), "f4"),
        "fps": 25,
    }
    write_coefficients(tmp_path / "c" / "ann" / "a", coefficients, T / 25)
    corpus = read(tmp_path / "c", flame)
    motion = motion_of(corpus)
    for joint, wanted in {"jaw": JAW, "neck": NECK, "eyeLeft": LEFT, "eyeRight": RIGHT}.items():
        found = np.stack([motion[f"{joint}{axis}"] for axis in "XYZ"], axis=1)
        np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=tracker)
    (remark,) = [r for r in corpus.remarks if "left out" in r]
    assert "R, eyelids, translation (translations and cameras" in remark


def test_rows_that_are_nearly_orthonormal_give_the_nearest_turn() -> None:
    rng = np.random.default_rng(0)
    axis = rng.normal(size=(50, 3))
    wanted = (axis / np.linalg.norm(axis, axis=1, keepdims=True) * np.linspace(0, 3.1, 50)[:, None]).astype("f4")
    rows = rows_of_matrices(wanted) * 1.01
    np.testing.assert_allclose(joint_angles(Path("a.npz"), "head", rows), wanted, atol=2e-5)


def test_files_are_read_once_where_memory_allows(tmp_path: Path, flame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flame_corpus(tmp_path / "c")
    corpus = read(tmp_path / "c", flame)
    kept = [recording.read().motion for recording in corpus.recordings]
    monkeypatch.setattr("stages.corpora.flame._MAX_BYTES_KEPT", 8_000)
    again = [recording.read().motion for recording in read(tmp_path / "c", flame).recordings]
    for first, second in zip(kept, again, strict=True):
        assert first is not None
        np.testing.assert_array_equal(first, second)
    for path in (tmp_path / "c").rglob("*.npz"):
        path.unlink()
    assert [recording.read().fps for recording in corpus.recordings] == [25.0, 25.0, 25.0]


@pytest.mark.parametrize("num_columns", [53, 103])
def test_plain_arrays_of_known_width(tmp_path: Path, flame: Path, num_columns: int) -> None:
    values = np.random.default_rng(0).normal(0, 0.1, (T, num_columns)).astype("f4")
    write_coefficients(tmp_path / "c" / "a", {}, T / 25)
    (tmp_path / "c" / "a.npz").unlink()
    np.save(tmp_path / "c" / "a.npy", values)
    corpus = read(tmp_path / "c", flame, fps=25)
    np.testing.assert_array_equal(np.stack(list(motion_of(corpus).values()), axis=1), values)
    assert corpus.remarks == ["no shape coefficients of c: FLAME's mean face stands for them"]
    np.save(tmp_path / "c" / "a.npy", values[:, :51])
    (failure,) = read(tmp_path / "c", flame, fps=25).problems
    assert "an array (30, 51), wanted (T, 53) or (T, 103)" in failure.reason


def test_a_corpus_has_the_features_that_any_of_its_clips_has(tmp_path: Path, flame: Path) -> None:
    write_coefficients(tmp_path / "c" / "ann" / "a", {"exp": EXPRESSION[:, :10], "jaw": JAW}, T / 25)
    write_coefficients(tmp_path / "c" / "bob" / "a", {"exp": EXPRESSION[:, :20], "pose": joined(HEAD, JAW)}, T / 25)
    corpus = read(tmp_path / "c", flame, fps=25)
    assert corpus.head.features == (
        *(f"exp{k:03d}" for k in range(20)),
        "jawX",
        "jawY",
        "jawZ",
        "headX",
        "headY",
        "headZ",
    )
    motion = corpus.recordings[0].read().motion
    assert motion is not None
    assert not motion[:, 10:20].any()
    assert not motion[:, 23:].any()
    assert motion[:, :10].any()


def test_shapes_are_the_mean_over_a_subjects_frames(tmp_path: Path, flame: Path) -> None:
    for name, length, size in (("a", T, 1.0), ("b", 2 * T, 4.0)):
        coefficients = {"exp": np.zeros((length, 50)), "jaw": np.zeros((length, 3)), "betas": size * SHAPE[:10]}
        write_coefficients(tmp_path / "c" / "ann" / name, coefficients, length / 25)
    face = read(tmp_path / "c", flame, fps=25).templates["ann"]
    shapes = np.moveaxis(write_flame(tmp_path / "again.pkl")["shapedirs"], 2, 0)
    np.testing.assert_allclose(face, face_mesh()[0] + np.tensordot(3 * SHAPE[:10], shapes[:10], axes=1), atol=1e-6)


def test_the_rate_is_the_files_then_the_sidecars_then_the_options(tmp_path: Path, flame: Path) -> None:
    place = tmp_path / "c" / "a"
    write_coefficients(place, {"exp": EXPRESSION, "jaw": JAW}, T / 25)
    with pytest.raises(
        ThunderError, match=r"a\.npz: does not say its frame rate.*by the length of the sound it is 25\.00"
    ):
        read(tmp_path / "c", flame).recordings[0].read()
    assert read(tmp_path / "c", flame, fps=24).recordings[0].read().fps == 24
    facts = {"fps": 30, "emotion": "happy", "split": "val"}
    place.with_suffix(".json").write_text(json.dumps(facts))
    place.with_suffix(".txt").write_text("Hello.")
    (recording,) = read(tmp_path / "c", flame, fps=24).recordings
    clip = recording.read()
    assert (clip.fps, clip.emotion, clip.transcript, recording.split) == (30, "happy", "Hello.", "val")
    write_coefficients(place, {"exp": EXPRESSION, "jaw": JAW, "fps": 50}, T / 25)
    assert read(tmp_path / "c", flame, fps=24).recordings[0].read().fps == 50


# What is refused


@pytest.mark.parametrize(
    ("coefficients", "expected"),
    [
        ({"jaw": JAW}, "no expression in it; wanted one of the keys expression, exp, .*; found jaw"),
        ({"exp": EXPRESSION}, "no jaw in it; wanted one of the keys jaw_pose, .* pose, .*; found exp"),
        ({"exp": EXPRESSION, "jaw": JAW[:-1]}, "29 frames of jaw, 30 of expression"),
        ({"exp": EXPRESSION, "pose": joined(JAW, JAW, JAW)}, r"pose of 9 values, wanted 3 \(jaw\), 6"),
        ({"exp": EXPRESSION, "jaw": joined(JAW, JAW)}, "jaw of 6 values, wanted rows of a rotation matrix"),
        ({"exp": EXPRESSION, "jaw": JAW, "eyes": LEFT}, "eyes wanted 6 values, axis-angle of the left.*, found 3"),
        ({"exp": EXPRESSION, "jaw": joined(JAW, JAW[:, :1])}, "jaw wanted 3 values a frame, axis-angle .*, found 4"),
        ({"exp": EXPRESSION, "jaw": JAW * 57.3}, "jaw turned by .*, wanted radians"),
        ({"exp": np.where(EXPRESSION > 1.2, np.nan, EXPRESSION), "jaw": JAW}, "NaN or infinity in expression, frame"),
        ({"exp": np.array("happy"), "jaw": JAW}, "expression wanted numbers"),
        ({"exp": np.zeros((0, 50)), "jaw": JAW}, "expression wanted numbers"),
        ({"exp": np.zeros((T, 101)), "jaw": JAW}, "101 coefficients of expression, but flame.pkl has 100"),
        ({"exp": EXPRESSION, "jaw": JAW, "betas": np.zeros(301)}, "301 coefficients of shape, but flame.pkl has 300"),
        ({"exp": EXPRESSION, "jaw": JAW, "fps": [25, 30]}, "fps wanted one number"),
        ({"exp": EXPRESSION, "jaw": JAW, "fps": 0}, "fps wanted one number, 1 to 1000"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named_and_the_rest_go_on(
    tmp_path: Path, flame: Path, coefficients: dict[str, Any], expected: str
) -> None:
    write_coefficients(tmp_path / "c" / "ann" / "bad", coefficients, T / 25)
    write_coefficients(tmp_path / "c" / "ann" / "good", {"exp": EXPRESSION, "jaw": JAW}, T / 25)
    corpus = read(tmp_path / "c", flame, fps=25)
    assert [r.id for r in corpus.recordings] == ["ann_good"]
    (failure,) = corpus.problems
    assert failure.item == "ann/bad"
    with pytest.raises(ThunderError, match=expected):
        raise ThunderError(failure.reason)
    assert "bad.npz: " in failure.reason


def test_the_flame_file_and_the_lips_are_asked_for(tmp_path: Path, flame: Path) -> None:
    write_flame_corpus(tmp_path / "c")
    with pytest.raises(ThunderError, match=r"need FLAME's own file; .*flame\.is\.tue\.mpg\.de.*give --flame FILE"):
        read_flame(tmp_path / "c", None)
    (flame.parent / "FLAME_masks.pkl").unlink()
    with pytest.raises(ThunderError, match=r"FLAME_masks\.pkl: missing.*--lips FILE"):
        read(tmp_path / "c", flame)
    write_masks(tmp_path / "elsewhere.pkl")
    assert len(read(tmp_path / "c", flame, lips_path=tmp_path / "elsewhere.pkl").recordings) == 3
    write_masks(tmp_path / "c" / "FLAME_masks.pkl")
    assert len(read(tmp_path / "c", flame).recordings) == 3


def test_the_flame_file_may_lie_in_the_corpus(tmp_path: Path) -> None:
    write_flame_corpus(tmp_path / "c")
    write_flame(tmp_path / "c" / "flame.npz", "2023.npz")
    write_masks(tmp_path / "c" / "FLAME_masks.pkl")
    corpus = read(tmp_path / "c", tmp_path / "c" / "flame.npz")
    assert (len(corpus.recordings), corpus.problems, corpus.remarks) == (3, [], [])


def test_heads_in_a_cameras_frame_are_remarked_on(tmp_path: Path, flame: Path) -> None:
    upside_down = HEAD + np.array([3.1, 0, 0], "f4")
    write_coefficients(
        tmp_path / "c" / "ann" / "a", {"exp": EXPRESSION, "pose": joined(upside_down, JAW), "shape": SHAPE}, T / 25
    )
    (remark,) = read(tmp_path / "c", flame, fps=25).remarks
    assert remark.startswith("the head of ann looks away from +Z")


def test_a_dictionary_is_wanted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1, "b"], dtype=object))
    with pytest.raises(ThunderError, match=r"an array \(2,\), wanted"):
        read_coefficients(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array("text", dtype=object))
    with pytest.raises(ThunderError, match="wanted a dictionary of arrays, found str"):
        read_coefficients(tmp_path / "b.npy")


# The stage


def test_preprocess_writes_a_dataset_that_plays_like_the_reference(tmp_path: Path, flame: Path) -> None:
    write_flame_corpus(tmp_path / "c")
    summary = preprocess(tmp_path / "c", tmp_path / "dataset.h5", flame=flame, jobs=1)
    assert (summary.layout, summary.num_clips, summary.num_features, summary.failures) == ("flame", 3, 56, [])
    assert sorted(name for names in summary.subjects.values() for name in names) == ["ann", "bob", "cem"]
    with open_clips(tmp_path / "dataset.h5") as clips:
        clip, head = clips.read("bob_c0"), clips.head
        template = clips.template("bob")
    assert (head.kind, head.units, head.regions["lips"].tolist()) == ("flame", "m", face_mesh()[2].tolist())
    assert np.abs(template - head.template).max() > 1e-3
    found = build_head(head).vertices(torch.from_numpy(clip.motion[:3]), template=torch.from_numpy(template))
    np.testing.assert_allclose(found.numpy(), reference(head, clip.motion[:3], template), atol=5e-7)


def test_the_lag_of_the_jaw_behind_the_sound_is_measured(tmp_path: Path, flame: Path) -> None:
    time = np.arange(200)[:, None] / 25 - 0.08
    opening = 0.15 - 0.15 * np.cos(2 * np.pi * 4 * time)  # the loudness of `small_waveform`, 80 ms late
    jaw = np.pad(opening, ((0, 0), (0, 2))).astype("f4")
    write_coefficients(tmp_path / "c" / "a", {"exp": np.zeros((200, 50)), "jaw": jaw}, 8.0)
    summary = preprocess(tmp_path / "c", tmp_path / "dataset.h5", flame=flame, fps=25, jobs=1)
    assert summary.lag_ms == pytest.approx(80, abs=20)


def test_a_lag_that_is_not_clear_is_none(tmp_path: Path, flame: Path) -> None:
    write_flame_corpus(tmp_path / "c")
    summary = preprocess(tmp_path / "c", tmp_path / "dataset.h5", flame=flame, jobs=1)
    assert summary.lag_ms is None
    assert summary.lag_correlation is not None
    assert summary.lag_clear_from is not None
    assert summary.lag_correlation < summary.lag_clear_from
    result = CliRunner().invoke(
        app, ["preprocess", str(tmp_path / "c"), "--flame", str(flame), "-o", str(tmp_path / "again.h5")]
    )
    assert "cannot be measured: lip opening and loudness correlate by" in result.stdout


def test_a_corpus_without_one_good_clip_writes_nothing(tmp_path: Path, flame: Path) -> None:
    write_coefficients(tmp_path / "c" / "ann" / "bad", {"jaw": JAW}, 1.2)
    with pytest.raises(ThunderError, match=r"nothing to write.*no expression in it"):
        preprocess(tmp_path / "c", tmp_path / "dataset.h5", flame=flame, jobs=1)
    assert not (tmp_path / "dataset.h5").exists()


def test_the_option_is_refused_for_other_layouts(tmp_path: Path, flame: Path) -> None:
    write_flame_corpus(tmp_path / "c")
    with pytest.raises(ThunderError, match="for FLAME coefficients only, found layout arkit"):
        preprocess(tmp_path / "c", tmp_path / "dataset.h5", layout="arkit", flame=flame, jobs=1)
