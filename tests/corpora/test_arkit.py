import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stages.artifacts.clips import Phone
from stages.audio.ffmpeg_binary import find_ffmpeg
from stages.audio.waveform import to_int16, write_wav
from stages.corpora.arkit import read_arkit
from stages.corpora.corpus import Corpus, Recording
from stages.runtime.errors import ThunderError
from tests.builders import small_head, small_waveform
from tests.corpora.written import write_arkit_corpus, write_recording


def read(folder: Path) -> Corpus:
    return read_arkit(folder, small_head())


def only(corpus: Corpus) -> Recording:
    assert not corpus.problems
    (recording,) = corpus.recordings
    return recording


def problem(folder: Path) -> str:
    corpus = read(folder)
    (failure,) = corpus.problems
    return f"{failure.item}: {failure.reason}"


def test_recordings_come_back_frame_for_frame(tmp_path: Path) -> None:
    motion = write_recording(
        tmp_path / "ann",
        "hello",
        num_frames=40,
        fps=60.0,
        text="Hello,\n  you.\n",
        facts={"emotion": "happy", "intensity": 0.7, "language": "en-gb", "split": "val", "voice": "ignored"},
        phones=[{"start_s": 0.0, "end_s": 0.3, "label": "SIL"}, {"start_s": 0.3, "end_s": 0.5, "label": "HH"}],
    )
    recording = only(read(tmp_path))
    assert (recording.id, recording.subject, recording.split) == ("ann_hello", "ann", "val")
    clip = recording.read()
    np.testing.assert_array_equal(clip.motion, motion)
    np.testing.assert_array_equal(to_int16(clip.waveform), small_waveform(len(clip.waveform)))
    assert clip.fps == 60.0
    assert (clip.emotion, clip.intensity, clip.language, clip.transcript) == ("happy", 0.7, "en-gb", "Hello, you.")
    assert clip.phones == (Phone(0.0, 0.3, "SIL"), Phone(0.3, 0.5, "HH"))


def test_all_that_is_optional_may_be_absent(tmp_path: Path) -> None:
    write_recording(tmp_path / "ann", "hello")
    recording = only(read(tmp_path))
    clip = recording.read()
    assert recording.split is None
    assert (clip.emotion, clip.language, clip.transcript, clip.phones) == ("neutral", "unknown", "", ())


def test_subjects_are_folders_and_a_flat_folder_is_one_subject(tmp_path: Path) -> None:
    corpus = read(write_arkit_corpus(tmp_path / "corpus"))
    assert [r.id for r in corpus.recordings] == [f"{s}_c{c}" for s in ("ann", "bob", "cem", "dia") for c in range(2)]
    write_recording(tmp_path / "zoë", "take 1")
    recording = only(read(tmp_path / "zoë"))
    assert recording.subject == "zoë"


def test_any_sound_will_do_and_wav_comes_first(tmp_path: Path) -> None:
    write_recording(tmp_path / "ann", "a")
    sound = tmp_path / "ann" / "a.wav"
    samples, rate_hz = soundfile.read(sound)
    soundfile.write(tmp_path / "ann" / "a.FLAC", samples * 0.5, rate_hz)
    assert np.abs(only(read(tmp_path)).read().waveform).max() == pytest.approx(np.abs(samples).max(), rel=1e-3)
    sound.unlink()
    assert np.abs(only(read(tmp_path)).read().waveform).max() == pytest.approx(np.abs(samples).max() / 2, rel=1e-3)


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    write_recording(tmp_path / "ann", "a")
    (tmp_path / "ann" / "a.wav").unlink()
    assert problem(tmp_path) == "ann/a: a.csv has no a.wav (or other sound) beside it"
    (tmp_path / "ann" / "a.csv").unlink()
    write_wav(tmp_path / "ann" / "a.wav", small_waveform(16_000))
    assert problem(tmp_path) == "ann/a: a.wav has no a.csv beside it"


def test_two_recordings_of_one_id_are_named(tmp_path: Path) -> None:
    write_recording(tmp_path / "a", "b_c")
    write_recording(tmp_path / "a_b", "c")
    corpus = read(tmp_path)
    assert len(corpus.recordings) == 1
    assert "its clip id a_b_c is taken" in corpus.problems[0].reason


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ("{", "not a JSON file"),
        ("[1]", "wanted a JSON object, found list"),
        (json.dumps({"emotion": 3}), "emotion wanted a text, found 3"),
        (json.dumps({"intensity": 1.5}), "intensity wanted 0 to 1, found 1.5"),
        (json.dumps({"intensity": "much"}), "intensity wanted 0 to 1, found 'much'"),
        (json.dumps({"split": "dev"}), "split wanted train, val, test, found 'dev'"),
    ],
)
def test_facts_that_make_no_sense_are_named(tmp_path: Path, facts: str, named: str) -> None:
    write_recording(tmp_path / "ann", "a")
    (tmp_path / "ann" / "a.json").write_text(facts)
    assert named in problem(tmp_path)
    assert "a.json" in problem(tmp_path)


def test_files_of_the_system_and_notes_are_left_alone(tmp_path: Path) -> None:
    write_recording(tmp_path / "ann", "a")
    for name in (".DS_Store", "._a.csv", "notes.txt", "corpus.json"):
        (tmp_path / "ann" / name).write_text("{}")
    (tmp_path / ".git").mkdir()
    only(read(tmp_path))


def test_content_that_cannot_be_used_says_which_file(tmp_path: Path) -> None:
    write_recording(tmp_path / "ann", "a")
    recording = only(read(tmp_path))
    write_wav(tmp_path / "ann" / "a.wav", np.zeros(20_000))
    with pytest.raises(ThunderError, match=r"a\.wav: silent from end to end"):
        recording.read()
    write_wav(tmp_path / "ann" / "a.wav", small_waveform(19_200))
    (tmp_path / "ann" / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ThunderError, match=r"a\.txt: not a UTF-8 text"):
        recording.read()
    (tmp_path / "ann" / "a.txt").unlink()
    (tmp_path / "ann" / "a.phones.json").write_text('{"a": 1}')
    with pytest.raises(ThunderError, match=r"a\.phones\.json"):
        recording.read()


def test_the_recording_s_video_is_the_sound(tmp_path: Path) -> None:
    motion = write_recording(tmp_path / "ann", "take", num_frames=72, fps=59.94)
    wav, film = tmp_path / "ann" / "take.wav", tmp_path / "ann" / "take.mov"
    command = [find_ffmpeg(), "-loglevel", "error", "-f", "lavfi", "-i", "color=c=gray:s=64x64:r=30", "-i", str(wav)]
    subprocess.run([*command, "-shortest", "-c:v", "mpeg4", "-c:a", "aac", str(film)], check=True)
    before = read(tmp_path).recordings[0].read()
    wav.unlink()
    (recording,) = read(tmp_path).recordings
    clip = recording.read()
    assert clip.fps == pytest.approx(60 / 1.001)
    np.testing.assert_array_equal(clip.motion, motion)
    num = min(len(clip.waveform), len(before.waveform))
    assert abs(len(clip.waveform) - len(before.waveform)) < 0.1 * 16_000  # a codec's blocks
    assert np.corrcoef(clip.waveform[:num], before.waveform[:num])[0, 1] > 0.95


def test_columns_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    motion = write_recording(tmp_path / "ann", "take")
    path = tmp_path / "ann" / "take.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert len(rows[0]) == 2 + 61
    order = [0, 1, *(2 + np.random.default_rng(0).permutation(61))]
    path.write_text("\n".join(",".join(row[k] for k in order) for row in rows))
    np.testing.assert_array_equal(read(tmp_path).recordings[0].read().motion, motion)
