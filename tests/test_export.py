"""`thunder export`: files read back by other readers, and each of its errors."""

import errno
import json
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from stages import export as export_stage
from stages.artifacts.clips import open_clips, write_clips
from stages.corpora.flame import read_coefficients
from stages.formats import live_link_face
from stages.formats.frame_rate import at_frame_rate
from stages.formats.live_link_face import read_live_link_face
from stages.formats.polygon_file import read_ply, write_ply
from stages.formats.wavefront import read_obj
from stages.heads import vertex_blocks
from stages.heads.head import build_head
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests import shell
from tests.builders import small_clip, small_dataset, small_head, small_motion
from tests.heads.test_flame import flame_head, some_motion

NUM_TAKES = 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with samples.h5: clips `a` and `b.1`, three takes each."""
    monkeypatch.chdir(tmp_path)
    head = small_head()
    templates = {"ann": head.template * np.float32(1.1)}
    provenance = Provenance(seed=0, command="test")
    with write_clips(Path("samples.h5"), "thunder.samples", head, provenance, force=True, subjects=templates) as writer:
        for seed, clip_id in enumerate(("a", "b.1")):
            takes = np.stack([small_motion(30, seed=10 * seed + k) for k in range(NUM_TAKES)])
            writer.add(replace(small_clip(clip_id, head=head, seed=seed), motion=takes, seed=np.arange(NUM_TAKES)))
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `thunder export`, line breaks of the terminal taken out."""
    return shell.run("export", *arguments)


def names(path: Path | str = "export") -> list[str]:
    return sorted(entry.name for entry in Path(path).iterdir())


def test_npy_holds_the_vertices_of_every_take_with_head_pose(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vertex_blocks, "_BLOCK_SIZE", 7 * 64 * 3)  # seven frames at once: 30 is no multiple
    code, out, _ = run("--format", "npy")
    assert code == 0
    assert "8 files to export: 6 takes of 2 clips" in out
    assert names() == ["a.0.npy", "a.1.npy", "a.2.npy", "a.wav", "b.1.0.npy", "b.1.1.npy", "b.1.2.npy", "b.1.wav"]
    head = build_head(small_head())
    with open_clips(Path("samples.h5")) as clips:
        for clip_id in clips:
            clip, template = clips.read(clip_id), torch.from_numpy(clips.template("ann"))
            for k in range(NUM_TAKES):
                found = np.load(f"export/{clip_id}.{k}.npy", mmap_mode="r")
                assert found.dtype == np.float32
                expected = head.vertices(torch.from_numpy(clip.motion[k]), template=template).numpy()
                np.testing.assert_allclose(found, expected, atol=1e-7)
                still = head.vertices(torch.from_numpy(clip.motion[k]), template=template, pose=False).numpy()
                assert abs(found - still).max() > 1e-3


def test_arkit_reads_back_equal_with_the_speech_beside_it(folder: Path) -> None:
    assert run("--format", "arkit", "-o", "curves")[0] == 0
    assert names("curves") == [
        *("a.0.csv", "a.1.csv", "a.2.csv", "a.wav"),
        *("b.1.0.csv", "b.1.1.csv", "b.1.2.csv", "b.1.wav"),
    ]
    with open_clips(Path("samples.h5")) as clips:
        clip = clips.read("b.1")
    motion, fps = read_live_link_face(Path("curves/b.1.2.csv"))
    np.testing.assert_array_equal(motion, clip.motion[2])
    assert fps == clip.fps
    with wave.open("curves/b.1.wav") as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2)
        np.testing.assert_array_equal(np.frombuffer(sound.readframes(10**9), "<i2"), clip.waveform)


@pytest.mark.parametrize("fps", [30, 60])
def test_arkit_at_another_rate_reads_back_equal_and_starts_with_the_sound(folder: Path, fps: int) -> None:
    assert run("--format", "arkit", "--fps", str(fps))[0] == 0
    with open_clips(Path("samples.h5")) as clips:
        clip = clips.read("a")
    motion, found = read_live_link_face(Path("export/a.1.csv"))
    assert found == fps
    assert len(motion) == clip.num_frames * fps / 25
    np.testing.assert_array_equal(motion, at_frame_rate(clip.motion[1], 25, fps))
    np.testing.assert_array_equal(motion[:: fps // 5], clip.motion[1][::5])  # five times a second, frames meet


def test_arkit_finds_curves_by_name_in_any_order(folder: Path) -> None:
    head = small_head()
    order = np.random.default_rng(0).permutation(52)
    shuffled = replace(
        head,
        features=(*(head.features[k] for k in order), *head.features[52:]),
        arrays={**head.arrays, "basis": head.arrays["basis"][order]},
    )
    small_dataset(Path("dataset.h5"), head=shuffled, splits=("test",))
    assert run("dataset.h5", "--format", "arkit")[0] == 0
    with open_clips(Path("dataset.h5")) as clips:
        recorded = clips.read("s0_clip").motion
    np.testing.assert_array_equal(read_live_link_face(Path("export/s0_clip.0.csv"))[0][:, order], recorded[:, :52])


def test_wav_is_the_speech_alone(folder: Path) -> None:
    code, out, _ = run("--format", "wav", "--clip", "a")
    assert code == 0
    assert "1 files to export: the speech of 1 clip" in out
    assert names() == ["a.wav"]


def test_clips_and_takes_are_chosen(folder: Path) -> None:
    assert run("--format", "npy", "--clip", "b.1", "--takes", "2,0-1,0")[0] == 0
    assert names() == ["b.1.0.npy", "b.1.1.npy", "b.1.2.npy", "b.1.wav"]
    assert run("--format", "npy", "-o", "two", "--takes", "1")[0] == 0
    assert names("two") == ["a.1.npy", "a.wav", "b.1.1.npy", "b.1.wav"]


def vertices_of(clip_id: str, take: int) -> np.ndarray:
    """What a take of samples.h5 should look like, (T, V, 3)."""
    with open_clips(Path("samples.h5")) as clips:
        motion, template = torch.from_numpy(clips.read(clip_id).motion[take]), torch.from_numpy(clips.template("ann"))
    return build_head(small_head()).vertices(motion, template=template).numpy()


def test_vocaset_has_one_row_a_frame_and_a_folder_a_take(folder: Path) -> None:
    code, out, _ = run("--format", "vocaset", "--takes", "0,2")
    assert code == 0
    assert "6 files to export: 4 takes of 2 clips" in out
    assert names() == ["take0", "take2", "wav"]
    assert names("export/take0") == names("export/take2") == ["ann_a.npy", "ann_b.1.npy"]
    assert names("export/wav") == ["ann_a.wav", "ann_b.1.wav"]
    found = np.load("export/take2/ann_b.1.npy")
    assert (found.shape, found.dtype) == ((30, 3 * 64), np.float32)
    np.testing.assert_allclose(found.reshape(30, 64, 3), vertices_of("b.1", 2), atol=1e-7)


def test_vocaset_names_a_subject_once_and_refuses_two_clips_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "dataset.h5"
    with write_clips(path, "thunder.dataset", small_head(), Provenance(seed=0, command="test"), force=True) as writer:
        for clip_id in ("ann_hello", "hello", "ann_bye"):
            writer.add(small_clip(clip_id))
    files = export_stage.export(path, tmp_path / "out", "vocaset", clip_ids=["ann_bye"]).files
    assert [file.name for file in files] == ["ann_bye.npy", "ann_bye.wav"]
    with pytest.raises(ThunderError, match=r"clips ann_hello and hello would both be ann_hello\.npy; choose"):
        export_stage.export(path, tmp_path / "two", "vocaset")


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_a_mesh_a_frame_is_read_back_by_others_and_by_us(folder: Path, suffix: str) -> None:
    assert run("--format", suffix, "--clip", "a", "--takes", "1")[0] == 0
    assert names() == ["a.1", "a.wav"]
    assert names("export/a.1") == [f"{frame:06d}.{suffix}" for frame in range(30)]
    truth = vertices_of("a", 1)
    for frame in (0, 17, 29):
        path = Path(f"export/a.1/{frame:06d}.{suffix}")
        ours = {"obj": read_obj, "ply": read_ply}[suffix](path)
        mesh = trimesh.load(path, process=False, maintain_order=True)
        for vertices, faces in (ours, (mesh.vertices, mesh.faces)):
            np.testing.assert_allclose(vertices, truth[frame], atol=1e-7)
            np.testing.assert_array_equal(faces, small_head().faces)
    # A shorter sequence in its place leaves nothing of it; what is not of it stays.
    Path("export/a.1/notes.txt").write_text("mine")
    assert "a.1: exists already" in run("--format", suffix, "--clip", "a", "--takes", "1")[2]
    assert run("--format", suffix, "--clip", "a", "--takes", "1", "--fps", "5", "--force")[0] == 0
    assert names("export/a.1") == [*(f"{frame:06d}.{suffix}" for frame in range(6)), "notes.txt"]


def test_colours_of_a_ply_are_srgb(tmp_path: Path) -> None:
    head = small_head()
    colours = np.broadcast_to(np.array([0.0, 0.2158605, 1.0], "f4"), head.template.shape)
    write_ply(tmp_path / "a.ply", head.template, head.faces, colours)
    found = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_array_equal(found.visual.vertex_colors[:, :3], np.tile([0, 128, 255], (64, 1)))


def test_flame_coefficients_read_back_equal(tmp_path: Path) -> None:
    head = flame_head(("jaw", "head", "eyeLeft"))
    motion = some_motion(head, (2, 12)).numpy()
    path = tmp_path / "samples.h5"
    with write_clips(path, "thunder.samples", head, Provenance(seed=0, command="test"), force=True) as writer:
        writer.add(replace(small_clip("c", num_frames=12), motion=motion, seed=np.arange(2)))
    export_stage.export(path, tmp_path / "out", "flame")
    assert names(tmp_path / "out") == ["c.0.npz", "c.1.npz", "c.wav"]
    found = read_coefficients(tmp_path / "out" / "c.1.npz")
    assert found.fps == 25
    assert found.unused == ("template",)
    column = {name: motion[1][:, k] for k, name in enumerate(head.features)}
    np.testing.assert_array_equal(found.expression, np.stack([column[f"exp{k:03d}"] for k in range(6)], axis=1))
    assert found.rotations.keys() == {"jaw", "head", "eyeLeft"}
    for joint, angles in found.rotations.items():
        np.testing.assert_array_equal(angles, np.stack([column[f"{joint}{axis}"] for axis in "XYZ"], axis=1))
    content = np.load(tmp_path / "out" / "c.1.npz")
    np.testing.assert_array_equal(content["exp"], content["expression"])
    np.testing.assert_array_equal(content["pose"], np.hstack([content["global_orient"], content["jaw_pose"]]))
    np.testing.assert_array_equal(content["template"], head.template)


def test_visemes_of_both_sets_are_those_of_the_phones(folder: Path) -> None:
    code, out, _ = run("--format", "viseme", "--clip", "a")
    assert code == 0
    assert "2 files to export: the speech of 1 clip" in out
    assert names() == ["a.visemes.json", "a.wav"]
    content = json.loads(Path("export/a.visemes.json").read_text())
    assert (content["clip"], content["duration_s"]) == ("a", 1.2)
    ends = [(0.0, 0.24), (0.24, 0.6), (0.6, 0.96), (0.96, 1.2)]  # silence, HH, OW, silence
    for name, visemes in (("polly", ["sil", "k", "o", "sil"]), ("oculus", ["sil", "kk", "oh", "sil"])):
        found = content["sets"][name]
        assert [event["viseme"] for event in found] == visemes
        assert [(event["start_s"], event["end_s"]) for event in found] == [pytest.approx(pair) for pair in ends]


def test_visemes_want_phones(folder: Path) -> None:
    with write_clips(
        Path("mute.h5"), "thunder.dataset", small_head(), Provenance(seed=0, command="test"), force=True
    ) as writer:
        writer.add(small_clip("known"))
        writer.add(small_clip("unknown", phones=()))
    code, _, err = run("mute.h5", "--format", "viseme")
    assert code == 1
    assert "clip unknown: its phones are not known, and visemes are made of them; export clips of a dataset with" in err
    assert not Path("export").exists()


def test_a_dataset_is_exported_as_one_take_with_its_exact_vertices(tmp_path: Path) -> None:
    whole = small_head()
    head = replace(whole, kind="displacement", features=("pc0",), arrays={"basis": whole.arrays["basis"][:1]})
    path = tmp_path / "dataset.h5"
    clip = small_clip("c", head=head, vertices=True)
    assert clip.vertices is not None
    exact = clip.vertices + np.float32(0.01)
    with write_clips(path, "thunder.dataset", head, Provenance(seed=0, command="test"), force=True) as writer:
        writer.add(replace(clip, vertices=exact))
    export_stage.export(path, tmp_path / "out", "npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "c.0.npy"), exact)


def test_files_that_exist_are_refused_before_any_is_written_and_replaced_with_force(folder: Path) -> None:
    Path("export").mkdir()
    Path("export/b.1.1.npy").write_text("mine")
    code, _, err = run("--format", "npy")
    assert code == 1
    assert "b.1.1.npy: exists already; give --force" in err
    assert names() == ["b.1.1.npy"]
    assert Path("export/b.1.1.npy").read_text() == "mine"
    assert run("--format", "npy", "--force")[0] == 0
    assert np.load("export/b.1.1.npy").shape == (30, 64, 3)


def test_a_head_without_arkit_curves_is_told_what_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = small_head()
    head = replace(whole, kind="displacement", features=("pc0",), arrays={"basis": whole.arrays["basis"][:1]})
    small_dataset(Path("dataset.h5"), head=head, splits=("test",))
    code, _, err = run("dataset.h5", "--format", "arkit")
    assert code == 1
    assert "wants a head with ARKit's curves, found head small test head (displacement)" in err
    assert "use --format gltf or npy" in err
    assert names(".") == ["dataset.h5"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.h5", "--format", "npy"], 1, "nowhere.h5: no such file"),
        (["--format", "npy", "--clip", "zzz"], 1, "no clip 'zzz'; it holds 2 clips: a, b.1"),
        (["--format", "npy", "--takes", "3"], 1, "clip a: take 3 wanted, found 3 takes, counted from 0"),
        (["--format", "npy", "-o", "samples.h5"], 1, "samples.h5: a file, wanted a folder"),
        (["--format", "npy", "--takes", "2-0"], 2, "--takes wanted numbers such as 0,2 or 0-3, found '2-0'"),
        (["--format", "npy", "--takes", "one"], 2, "--takes wanted numbers"),
        (["--format", "npy", "--takes", "0-99999999999"], 2, "--takes wanted numbers"),
        (["--format", "arkit", "--fps", "0"], 1, "--fps wanted 1 to 1000 frames a second, such as 30 or 60, found 0"),
        (["--format", "wav", "--fps", "30"], 1, "--format wav is made of the speech, which has no takes or frames"),
        (["--format", "wav", "--takes", "1"], 1, "leave out --takes and --fps"),
        (["--format", "viseme", "--fps", "30"], 1, "--format viseme is made of the speech"),
        (["--format", "flame"], 1, "wants a FLAME head, found head small test head (blendshape)"),
        (["--format", "mp4"], 2, "--format"),
        ([], 2, "--format"),
    ],
)
def test_errors_are_explained_and_leave_nothing(folder: Path, arguments: list[str], code: int, message: str) -> None:
    found, _, err = run(*arguments)
    assert found == code
    assert message in err
    assert names(".") == ["samples.h5"]


def _full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_explained_and_finished_files_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., None] = np.lib.format.write_array_header_1_0
    calls = []

    def third_time_full(*arguments: Any) -> None:
        calls.append(1)
        (_full_disk if len(calls) == 3 else real)(*arguments)

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", third_time_full)
    code, _, err = run("--format", "npy")
    assert code == 1
    assert "export/a.2.npy: the disk is full; nothing was left behind" in err
    assert names() == ["a.0.npy", "a.1.npy"]


def test_a_full_disk_while_writing_curves_names_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", _full_disk)
    code, _, err = run("--format", "arkit")
    assert code == 1
    assert "export/a.0.csv: the disk is full" in err
    assert names() == []


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("old")

    def interrupted() -> None:
        with whole_or_none(path) as partial:
            assert partial.suffix == ".csv"
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["curves.csv"]
    with pytest.raises(ThunderError, match="found \\(2, 3\\)"):
        live_link_face.write_live_link_face(path, np.zeros((2, 3), np.float32), 25.0)
    assert path.read_text() == "old"
