import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner, Result

import stages.artifacts.clips
import stages.corpora.preparation
import stages.corpora.vertex_arrays
import stages.heads.head
from stages.artifacts.clips import open_clips
from stages.audio.waveform import to_int16, write_wav
from stages.heads.head import build_head
from stages.preprocess import preprocess
from tests.builders import small_head, small_waveform
from tests.corpora.written import (
    TEST,
    TRAIN,
    write_arkit_corpus,
    write_recording,
    write_vocaset,
    write_vocaset_processed,
)
from thunder_cli.app import app


@pytest.fixture(autouse=True)
def _small_embedded_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.heads.head, "embedded_head", small_head)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["preprocess", *map(str, arguments)], catch_exceptions=False)


def refused(output: Path, *arguments: str | Path) -> str:
    """The one line of a run that fails as a whole; it has left nothing behind."""
    before = sorted(output.parent.iterdir())
    result = run(*arguments, "-o", output)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(output.parent.iterdir()) == before
    return result.stderr


def test_an_arkit_corpus_frame_for_frame(tmp_path: Path) -> None:
    motion = {
        f"{subject}_a": write_recording(tmp_path / "corpus" / subject, "a", seed=seed, text="Hello.")
        for seed, subject in enumerate(("ann", "bob", "cem"))
    }
    summary = preprocess(tmp_path / "corpus", tmp_path / "d.h5")
    assert (summary.num_clips, summary.failures, summary.cut, summary.remarks) == (3, [], [], [])
    assert summary.subjects == {"train": ["bob"], "val": ["ann"], "test": ["cem"]}
    assert summary.hours == pytest.approx(3 * 1.2 / 3600)
    with open_clips(tmp_path / "d.h5") as dataset:
        assert list(dataset) == ["ann_a", "bob_a", "cem_a"]
        assert dataset.head.fingerprint == small_head().fingerprint
        for seed, clip_id in enumerate(dataset):
            clip = dataset.read(clip_id)
            np.testing.assert_array_equal(clip.motion, motion[clip_id])
            np.testing.assert_array_equal(clip.waveform, small_waveform(19_200, seed))
            assert (clip.fps, clip.transcript) == (25.0, "Hello.")
        attributes = dict(dataset.file.attrs)
    assert json.loads(attributes["config"])["layout"] == "arkit"
    assert len(json.loads(attributes["inputs"])["corpus"]) == 64


@pytest.mark.parametrize("write", [write_vocaset, write_vocaset_processed])
def test_vocaset_keeps_every_second_frame_exactly(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    written = write(tmp_path / "voca")
    summary = preprocess(tmp_path / "voca", tmp_path / "d.h5")
    assert summary.clips == {"train": 2, "val": 1, "test": 1}
    assert summary.fps == [30.0]
    assert summary.num_features == 3  # jaw, smile and brows
    assert summary.explained_variance == pytest.approx(1.0, abs=1e-5)
    assert summary.reconstruction_mm["lips"][1] < 1e-2
    with open_clips(tmp_path / "d.h5") as dataset:
        head = build_head(dataset.head)
        for clip_id in dataset:
            clip = dataset.read(clip_id, vertices=True)
            assert clip.vertices is not None
            subject, sequence = clip_id.rsplit("_", 1)
            assert clip.subject == subject
            np.testing.assert_array_equal(clip.vertices, written[subject, sequence][::2])
            template = torch.from_numpy(dataset.template(subject))
            played = head.vertices(torch.from_numpy(clip.motion), template=template)
            np.testing.assert_allclose(played, clip.vertices, atol=1e-5)
            assert len(clip.waveform) == round(len(clip.motion) / 30 * 16_000)


def test_the_basis_of_a_test_stays_unseen(tmp_path: Path) -> None:
    written = write_vocaset_processed(tmp_path / "voca")
    path = tmp_path / "voca" / "vertices_npy" / f"{TEST}_sentence40.npy"
    ears = written[TEST, "sentence40"].copy()
    ears[:, 20] += np.linspace(0, 0.01, len(ears))[:, None]  # a vertex that no training clip moves so
    np.save(path, ears.reshape(len(ears), -1))
    summary = preprocess(tmp_path / "voca", tmp_path / "d.h5")
    assert summary.num_features == 3
    assert summary.reconstruction_mm["all"][1] > 5.0


def test_vocaset_at_60_fps_and_without_vertices(tmp_path: Path) -> None:
    write_vocaset(tmp_path / "voca")
    result = run(
        tmp_path / "voca", "-o", tmp_path / "d.h5", "--fps", 60, "--components", 2, "--drop-vertices", "--json"
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["fps"] == [60.0]
    with open_clips(tmp_path / "d.h5") as dataset:
        clip_id = f"{TRAIN}_sentence01"
        assert not dataset.has_vertices(clip_id)
        assert dataset.read(clip_id).motion.shape == (61, 2)


def test_the_summary_of_the_command(tmp_path: Path) -> None:
    write_vocaset(tmp_path / "voca")
    result = run(tmp_path / "voca", "-o", tmp_path / "d.h5")
    assert result.exit_code == 0
    assert "396 of 400 sequences of the official splits are not there" in result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if " error" not in line)
    assert lines["layout"] == "vocaset"
    assert lines["motion"] == "3 features"
    assert lines["train"] == f"2 clips of 1 subjects: {TRAIN}"
    assert "lips error" in result.stdout
    quiet = run(tmp_path / "voca", "-o", tmp_path / "d.h5", "--force", "--quiet")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


def test_a_clip_s_own_split_comes_first(tmp_path: Path) -> None:
    for subject in ("ann", "bob", "cem"):
        write_recording(tmp_path / "c" / subject, "a", facts={"split": "test"} if subject == "bob" else None)
        write_recording(tmp_path / "c" / subject, "b", facts={"split": "test"} if subject == "bob" else None)
    summary = preprocess(tmp_path / "c", tmp_path / "d.h5")
    assert summary.subjects == {"train": ["ann"], "val": [], "test": ["bob", "cem"]}
    write_recording(tmp_path / "c" / "bob", "c", facts={"split": "train"})
    summary = preprocess(tmp_path / "c", tmp_path / "d.h5", force=True)
    assert any("heard both in train and in test, as the corpus says: bob" in remark for remark in summary.remarks)


def test_one_subject_is_all_train_and_that_is_said(tmp_path: Path) -> None:
    write_arkit_corpus(tmp_path / "c", subjects=("ann",))
    result = run(tmp_path / "c", "-o", tmp_path / "d.h5")
    assert result.exit_code == 0
    assert "only one subject (ann)" in result.stderr


def test_processes_and_one_process_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.corpora.preparation._FEW_RECORDINGS", 2)
    write_arkit_corpus(tmp_path / "c")
    (tmp_path / "c" / "ann" / "c0.wav").write_bytes(b"")
    summaries = [preprocess(tmp_path / "c", tmp_path / f"{jobs}.h5", jobs=jobs) for jobs in (1, 2)]
    assert summaries[0].failures == summaries[1].failures
    with open_clips(tmp_path / "1.h5") as one, open_clips(tmp_path / "2.h5") as two:
        assert list(one) == list(two)
        for clip_id in one:
            np.testing.assert_array_equal(one.read(clip_id).motion, two.read(clip_id).motion)
            np.testing.assert_array_equal(one.read(clip_id).waveform, two.read(clip_id).waveform)


def test_threads_and_recordings_too_long_to_hold_write_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_vocaset_processed(tmp_path / "voca")
    made = {}
    for jobs, held in ((1, 1 << 20), (2, 1 << 20), (3, 0)):
        monkeypatch.setattr(stages.corpora.preparation, "_HELD_BYTES", held)
        made[jobs] = tmp_path / f"{jobs}.h5"
        preprocess(tmp_path / "voca", made[jobs], jobs=jobs)
    with open_clips(made[1]) as one:
        for jobs in (2, 3):
            with open_clips(made[jobs]) as other:
                assert list(one) == list(other)
                for clip_id in one:
                    wanted, found = one.read(clip_id, vertices=True), other.read(clip_id, vertices=True)
                    np.testing.assert_array_equal(found.motion, wanted.motion)
                    np.testing.assert_array_equal(found.vertices, wanted.vertices)
                assert dict(other.file["head/reconstruction"].attrs) == dict(one.file["head/reconstruction"].attrs)


def test_a_recording_is_read_once_after_the_basis_is_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_vocaset_processed(tmp_path / "voca")
    read: dict[str, int] = {}
    read_frames = stages.corpora.vertex_arrays._read_frames

    def noting(path: Path, num_vertices: int, scale: float, which: slice) -> np.ndarray:
        frames = read_frames(path, num_vertices, scale, which)
        if which != slice(0, 1, 2):  # the first alone, to look at its vertex order and size
            read[path.stem] = read.get(path.stem, 0) + len(frames)
        return frames

    monkeypatch.setattr(stages.corpora.vertex_arrays, "_read_frames", noting)
    preprocess(tmp_path / "voca", tmp_path / "d.h5")
    clip = f"{TEST}_sentence40"  # of the test split: the basis is not fitted to it
    assert read[clip] == len(written[TEST, "sentence40"][::2])


def spoil_empty(folder: Path) -> None:
    (folder / "c0.wav").write_bytes(b"")


def spoil_truncated(folder: Path) -> None:
    (folder / "c0.wav").write_bytes((folder / "c0.wav").read_bytes()[:5_000])


def spoil_silent(folder: Path) -> None:
    write_wav(folder / "c0.wav", np.zeros(12_800))


def spoil_nan(folder: Path) -> None:
    sound = small_waveform(12_800) / 32_768.0
    sound[6_400] = np.nan
    soundfile.write(folder / "c0.wav", sound, 16_000, subtype="FLOAT")


def spoil_short(folder: Path) -> None:
    write_wav(folder / "c0.wav", small_waveform(160))


def spoil_text(folder: Path) -> None:
    (folder / "c0.wav").write_text("not a sound at all\n" * 100)


def spoil_length(folder: Path) -> None:
    write_wav(folder / "c0.wav", small_waveform(32_000))


def spoil_curves(folder: Path) -> None:
    (folder / "c0.csv").write_text("a,b\n1,2\n")


def spoil_no_curves(folder: Path) -> None:
    (folder / "c0.csv").unlink()


def spoil_no_sound(folder: Path) -> None:
    (folder / "c0.wav").unlink()


def spoil_nan_motion(folder: Path) -> None:
    lines = (folder / "c0.csv").read_text().splitlines()
    cells = lines[5].split(",")
    cells[4] = "nan"
    lines[5] = ",".join(cells)
    (folder / "c0.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoil_empty, "c0.wav: the file is empty"),
        (spoil_truncated, "c0.wav: cut short or damaged"),
        (spoil_silent, "c0.wav: silent from end to end"),
        (spoil_nan, "c0.wav: NaN or infinity in the sound at 0.400 s"),
        (spoil_short, "c0.wav: 10 ms of sound, wanted at least 50 ms"),
        (spoil_text, "c0.wav: not a sound file"),
        (spoil_length, "2.000 s of sound and 0.800 s of motion (20 frames at 25 fps)"),
        (spoil_curves, "c0.csv: not a Live Link Face CSV"),
        (spoil_no_curves, "ann/c0: c0.wav has no c0.csv beside it"),
        (spoil_no_sound, "ann/c0: c0.csv has no c0.wav (or other sound) beside it"),
        (spoil_nan_motion, "c0.csv, line 6"),
    ],
)
def test_one_bad_recording_is_named_and_the_rest_are_done(
    tmp_path: Path, spoil: Callable[[Path], None], named: str
) -> None:
    write_arkit_corpus(tmp_path / "c")
    spoil(tmp_path / "c" / "ann")
    result = run(tmp_path / "c", "-o", tmp_path / "d.h5")
    assert result.exit_code == 1
    assert "1 of 8 recordings failed" in result.stderr
    assert named in result.stderr
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["d.h5"]
    with open_clips(tmp_path / "d.h5") as dataset:
        assert len(dataset) == 7
        assert "ann_c0" not in dataset


def test_lengths_are_cut_where_that_is_allowed(tmp_path: Path) -> None:
    write_recording(tmp_path / "c" / "ann", "near", extra_sound_s=0.08)
    result = run(tmp_path / "c", "-o", tmp_path / "d.h5")
    assert result.exit_code == 0
    assert "ann_near: 1.280 s of sound and 1.200 s of motion (30 frames at 25 fps), cut to 1.200 s" in result.stderr
    write_recording(tmp_path / "c" / "ann", "far", extra_sound_s=3.0)
    assert run(tmp_path / "c", "-o", tmp_path / "e.h5").exit_code == 1
    assert run(tmp_path / "c", "-o", tmp_path / "f.h5", "--allow-mismatch").exit_code == 0


def test_an_mp3_named_wav_eight_kilohertz_and_seven_channels_are_fine(tmp_path: Path) -> None:
    write_arkit_corpus(tmp_path / "c", subjects=("ann",), clips=3)
    folder = tmp_path / "c" / "ann"
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)
    soundfile.write(folder / "c0.wav", tone[: 48_000 * 20 // 25], 48_000, format="MP3")
    soundfile.write(folder / "c1.wav", tone[: 8_000 * 21 // 25], 8_000)
    soundfile.write(folder / "c2.wav", np.stack([tone[: 16_000 * 22 // 25]] * 7, axis=1), 16_000)
    result = run(tmp_path / "c", "-o", tmp_path / "d.h5")
    assert (result.exit_code, result.stderr.count("error")) == (0, 0)
    with open_clips(tmp_path / "d.h5") as dataset:
        np.testing.assert_allclose(dataset.read("ann_c2").waveform, to_int16(tone[: 16_000 * 22 // 25]), atol=2)


def test_failures_of_the_whole_leave_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out" / "d.h5"
    out.parent.mkdir()
    assert "no such folder" in refused(out, tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "not a corpus of a known layout; found an empty folder" in refused(out, tmp_path / "empty")
    write_arkit_corpus(tmp_path / "c", subjects=("ann",), clips=2)
    assert "layout 'other' is not known" in refused(out, tmp_path / "c", "--layout", "other")
    assert "--fps 0.5: wanted 1 to 1000" in refused(out, tmp_path / "c", "--fps", "0.5")
    for name in ("c0.wav", "c1.wav"):
        (tmp_path / "c" / "ann" / name).write_bytes(b"")
    message = refused(out, tmp_path / "c")
    assert "nothing to write, 2 of 2 recordings failed" in message
    assert "c0.wav: the file is empty" in message


def test_an_output_that_exists_is_kept(tmp_path: Path) -> None:
    write_arkit_corpus(tmp_path / "c", subjects=("ann",), clips=1)
    (tmp_path / "d.h5").write_bytes(b"precious")
    assert "exists already; give --force" in refused(tmp_path / "d.h5", tmp_path / "c")
    assert (tmp_path / "d.h5").read_bytes() == b"precious"
    (tmp_path / "c" / "ann" / "c0.wav").write_bytes(b"")
    assert "nothing to write" in refused(tmp_path / "d.h5", tmp_path / "c", "--force")
    assert (tmp_path / "d.h5").read_bytes() == b"precious"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arkit_corpus(tmp_path / "c", subjects=("ann",), clips=1)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stages.artifacts.clips, "write_array", full)
    assert "d.h5: the disk is full; nothing was left behind" in refused(tmp_path / "d.h5", tmp_path / "c")


def test_a_pickle_that_runs_code_runs_none(tmp_path: Path) -> None:
    write_vocaset(tmp_path / "voca")
    trace = tmp_path / "created"
    attack = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    for name in ("templates.pkl", "raw_audio_fixed.pkl", "subj_seq_to_idx.pkl", "FLAME_masks.pkl"):
        content = (tmp_path / "voca" / name).read_bytes()
        (tmp_path / "voca" / name).write_bytes(attack)
        message = refused(tmp_path / "d.h5", tmp_path / "voca")
        assert f"{name}: the pickle asks for os.system" in message
        assert not trace.exists()
        (tmp_path / "voca" / name).write_bytes(content)


def test_lips_that_are_not_known(tmp_path: Path) -> None:
    write_vocaset(tmp_path / "voca", masks=False)
    message = refused(tmp_path / "d.h5", tmp_path / "voca")
    assert "FLAME_masks.pkl" in message
    assert "--lips FILE" in message


def test_the_speed_says_what_was_read_and_written(tmp_path: Path) -> None:
    written = write_vocaset_processed(tmp_path / "voca")
    summary = preprocess(tmp_path / "voca", tmp_path / "d.h5")
    used = {key: vertices for key, vertices in written.items() if key != (TEST, "sentence01")}  # that is in no split
    frames = sum((len(vertices) + 1) // 2 for vertices in used.values())
    assert summary.num_frames == frames
    assert summary.megabytes_read == pytest.approx(frames * 320 * 3 * 4 / 1e6)
    assert summary.megabytes == pytest.approx((tmp_path / "d.h5").stat().st_size / 1e6)
    shown = run(tmp_path / "voca", "-o", tmp_path / "again.h5").stdout
    assert re.search(r"frames/s, [\d.]+ MB/s of vertices read, [\d.]+ MB/s written, in", shown)
