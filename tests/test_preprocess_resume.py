"""Interrupted runs go on; corpora from elsewhere cannot do harm: all through the command line."""

import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import stages.preprocess
from stages.artifacts.clips import open_clips
from stages.artifacts.resumable import unfinished_path
from stages.corpora.corpus import Recording
from tests.builders import small_dataset
from tests.corpora.written import dump, face_mesh, write_biwi, write_meshes, write_ply
from thunder_cli.app import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def refused(folder: Path, *arguments: str | Path) -> str:
    """The one line of a command that fails and leaves nothing under its name."""
    result = run("preprocess", folder, "-o", folder.parent / "d.h5", *arguments)
    assert result.exit_code == 1, result.stdout
    assert result.stderr.count("\n") == 1
    assert not list(folder.parent.glob("*d.h5*"))
    return result.stderr


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus `c` of four clips, of which a run that was interrupted has finished two."""
    write_meshes(tmp_path / "c")
    prepare, count = stages.preprocess.prepare, 0

    def interrupting(recording: Recording, template: np.ndarray | None, **options: object) -> object:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return prepare(recording, template, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(stages.preprocess, "prepare", interrupting)
        result = run("preprocess", tmp_path / "c", "-o", tmp_path / "d.h5")
    assert result.exit_code == 130
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [".d.h5.unfinished"]
    return tmp_path


def test_an_interrupted_run_goes_on(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    prepare = stages.preprocess.prepare

    def noting(recording: Recording, template: np.ndarray | None, **options: object) -> object:
        read.append(recording.id)
        return prepare(recording, template, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stages.preprocess, "prepare", noting)
    result = run("preprocess", interrupted / "c", "-o", interrupted / "d.h5", "--resume", "--json")
    assert result.exit_code == 0
    assert read == ["bob_a", "bob_b"]
    assert json.loads(result.stdout)["num_resumed"] == 2
    assert run("preprocess", interrupted / "c", "-o", interrupted / "whole.h5").exit_code == 0
    with open_clips(interrupted / "d.h5") as one, open_clips(interrupted / "whole.h5") as other:
        assert list(one) == list(other)
        for clip_id in one:
            a, b = one.read(clip_id, vertices=True), other.read(clip_id, vertices=True)
            np.testing.assert_array_equal(a.motion, b.motion)
            np.testing.assert_array_equal(a.vertices, b.vertices)
        figures = [dict(file.file["head/reconstruction"].attrs) for file in (one, other)]
        assert figures[0] == pytest.approx(figures[1])
    assert sorted(p.name for p in interrupted.iterdir()) == ["c", "d.h5", "whole.h5"]


def test_what_was_interrupted_is_not_thrown_away_unasked(interrupted: Path) -> None:
    output = interrupted / "d.h5"
    again = run("preprocess", interrupted / "c", "-o", output)
    assert again.exit_code == 1
    assert ".d.h5.unfinished: left by an interrupted run; give --resume to go on" in again.stderr
    other = run("preprocess", interrupted / "c", "-o", output, "--resume", "--components", 2)
    assert other.exit_code == 1
    assert "the interrupted run had other options" in other.stderr
    (interrupted / "c" / "ann" / "new.txt").write_text("another file")
    other = run("preprocess", interrupted / "c", "-o", output, "--resume")
    assert "the interrupted run had other inputs" in other.stderr
    assert unfinished_path(output).exists()
    assert run("preprocess", interrupted / "c", "-o", output, "--force").exit_code == 0
    assert not unfinished_path(output).exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_run_leaves_nothing_under_the_name_and_goes_on(tmp_path: Path) -> None:
    write_meshes(tmp_path / "c")
    program = f"""
import time
from pathlib import Path
import stages.preprocess as p
prepare, write = p.prepare, p._write_whole
def slow(recording, template, **options):
    time.sleep(60 if recording.id == "bob_b" else 0)
    return prepare(recording, template, **options)
def telling(writer, clip, *rest):
    write(writer, clip, *rest)
    print(clip.id, flush=True)
p.prepare, p._write_whole = slow, telling
p.preprocess(Path({str(tmp_path / "c")!r}), Path({str(tmp_path / "d.h5")!r}))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [process.stdout.readline() for _ in range(3)]
        process.kill()
    assert (written, process.returncode) == (["ann_a\n", "ann_b\n", "bob_a\n"], -signal.SIGKILL)
    assert not (tmp_path / "d.h5").exists()
    result = run("preprocess", tmp_path / "c", "-o", tmp_path / "d.h5", "--resume", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["num_resumed"] == 3
    with open_clips(tmp_path / "d.h5") as dataset:
        assert len(dataset) == 4


def test_links_that_leave_the_corpus(tmp_path: Path) -> None:
    write_meshes(tmp_path / "c")
    (tmp_path / "secret.wav").write_bytes(b"private")
    (tmp_path / "c" / "ann" / "inside.wav").symlink_to(tmp_path / "c" / "ann" / "a.wav")
    (tmp_path / "c" / "ann" / "c.wav").symlink_to(tmp_path / "secret.wav")
    message = refused(tmp_path / "c")
    assert "c.wav: a link that leaves the corpus" in message
    assert "secret.wav" in message


def test_names_with_spaces_and_of_any_alphabet(tmp_path: Path) -> None:
    folder = tmp_path / "mein Korpus ä"
    written = write_meshes(folder)
    (folder / "ann").rename(folder / "Zoë Ω 山")
    (folder / "Zoë Ω 山" / "a.npy").rename(folder / "Zoë Ω 山" / "grüß dich.npy")
    (folder / "Zoë Ω 山" / "a.wav").rename(folder / "Zoë Ω 山" / "grüß dich.wav")
    result = run("preprocess", folder, "-o", tmp_path / "d ä.h5")
    assert result.exit_code == 0
    with open_clips(tmp_path / "d ä.h5") as dataset:
        assert len(dataset) == 4
        assert "Zoë Ω 山" in dataset.subjects
        clip = next(i for i in dataset if "gr" in i)
        np.testing.assert_array_equal(dataset.read(clip, vertices=True).vertices, written["ann_a"])


def absurd_shape(path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 320, 3), }"
    header = header.ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64)


def object_array(path: Path) -> None:
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", b"nothing")


def not_a_number(path: Path) -> None:
    frames = np.load(path)
    frames[7, 3, 1] = np.nan
    np.save(path, frames)


def other_mesh(path: Path) -> None:
    np.save(path, np.zeros((10, 7, 3), "f4"))


def shuffled(path: Path) -> None:
    frames = np.load(path)
    np.save(path, frames[:, np.random.default_rng(0).permutation(frames.shape[1])])


def millimetres(path: Path) -> None:
    np.save(path, 1000 * np.load(path))


def whole_numbers(path: Path) -> None:
    np.save(path, np.zeros((36, 320, 3), "i4"))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (absurd_shape, "not a .npy array, or cut short"),
        (object_array, "not a .npy array"),
        (archive, "wanted floating-point numbers, found an archive"),
        (not_a_number, "NaN or infinity in its vertices"),
        (other_mesh, "wanted (frames, 960) or (frames, 320, 3), found (10, 7, 3)"),
        (shuffled, "vertices stand in another order"),
        (millimetres, "1000 times the size of the template"),
        (whole_numbers, "wanted floating-point numbers, found int32"),
    ],
)
def test_one_bad_clip_is_named_and_the_rest_are_done(tmp_path: Path, spoil: Callable[[Path], None], named: str) -> None:
    write_meshes(tmp_path / "c")
    spoil(tmp_path / "c" / "ann" / "b.npy")
    result = run("preprocess", tmp_path / "c", "-o", tmp_path / "d.h5")
    assert result.exit_code == 1
    assert "1 of 4 recordings failed" in result.stderr
    assert named in result.stderr
    with open_clips(tmp_path / "d.h5") as dataset:
        assert sorted(dataset) == ["ann_a", "bob_a", "bob_b"]


def test_indices_outside_the_mesh(tmp_path: Path) -> None:
    write_meshes(tmp_path / "c")
    (tmp_path / "c" / "lips.txt").write_text("1 2 320")
    assert "lips.txt: vertices 1 to 320, but the mesh has 320" in refused(tmp_path / "c")
    write_biwi(tmp_path / "b")
    (tmp_path / "b" / "regions" / "fdd.txt").write_text("5, -1")
    assert "fdd.txt: vertices -1 to 5" in refused(tmp_path / "b")


def test_faces_outside_the_mesh(tmp_path: Path) -> None:
    write_meshes(tmp_path / "c")
    template, faces, _ = face_mesh()
    faces[3, 1] = 99_999
    write_ply(tmp_path / "c" / "template.ply", template, faces)
    assert "template.ply" in refused(tmp_path / "c")


def test_a_biwi_pickle_that_runs_code_runs_none(tmp_path: Path) -> None:
    write_biwi(tmp_path / "b")
    trace = tmp_path / "created"
    (tmp_path / "b" / "templates.pkl").write_bytes(f"cos\nsystem\n(S'touch {trace}'\ntR.".encode())
    assert "templates.pkl: the pickle asks for os.system" in refused(tmp_path / "b")
    assert not trace.exists()
    dump(tmp_path / "b" / "templates.pkl", {"F2": "no array"})
    assert "templates.pkl" in refused(tmp_path / "b")


def test_two_recordings_of_one_id(tmp_path: Path) -> None:
    write_meshes(tmp_path / "c")
    for subject, clip in (("x_y", "z"), ("x", "y_z")):
        (tmp_path / "c" / subject).mkdir()
        for suffix in ("npy", "wav"):
            content = (tmp_path / "c" / "ann" / f"a.{suffix}").read_bytes()
            (tmp_path / "c" / subject / f"{clip}.{suffix}").write_bytes(content)
    result = run("preprocess", tmp_path / "c", "-o", tmp_path / "d.h5")
    assert result.exit_code == 1
    assert "its clip id x_y_z is taken by another recording; rename one" in result.stderr


def bomb_of_zeros(file: h5py.File) -> None:
    group = file["clips/s0_clip"]
    del group["motion"]
    group.create_dataset("motion", shape=(20_000_000, 55), dtype="f4", chunks=(100_000, 55), compression="gzip")


def bomb_in_a_chunk(file: h5py.File) -> None:
    import zlib

    group = file["clips/s0_clip"]
    shape = group["motion"].shape
    del group["motion"]
    motion = group.create_dataset("motion", shape=shape, dtype="f4", chunks=shape, compression="gzip")
    motion.id.write_direct_chunk((0, 0), zlib.compress(bytes(200_000_000)))


def elsewhere(file: h5py.File) -> None:
    group = file["clips/s0_clip"]
    del group["motion"]
    group.create_dataset("motion", shape=(30, 55), dtype="f4", external=[("/etc/passwd", 0, 6600)])


@pytest.mark.parametrize(
    ("bomb", "named"),
    [
        (bomb_of_zeros, "would take 4.4 GB of memory"),
        (bomb_in_a_chunk, "a chunk inflates to more than its"),
        (elsewhere, "its values lie in another file"),
    ],
)
def test_a_bomb_in_an_artifact_is_refused(tmp_path: Path, bomb: Callable[[h5py.File], None], named: str) -> None:
    path = small_dataset(tmp_path / "d.h5")
    with h5py.File(path, "r+") as file:
        bomb(file)
    result = run("train-m2s", path, "-o", tmp_path / "m.h5", "--preset", "tiny")
    assert result.exit_code == 1
    assert named in result.stderr
    assert result.stderr.rstrip().count("\n") <= 1
