"""`thunder sample`: takes of files, folders and splits, and every bad input in one line."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.files import inputs_of, open_hdf5, read_json_attribute
from stages.audio.waveform import write_wav
from stages.diffusion.steadying import within_range
from stages.runtime import assets
from stages.runtime.provenance import Provenance, sha256_of_file
from tests import shell
from tests.builders import small_clip, small_dataset, small_head, small_waveform
from tests.trained import go_to_copy, tiny_workspace
from thunder_cli.app import app

QUICK = ("--n", "2", "--steps", "2", "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("trained"))


@pytest.fixture(autouse=True)
def folder(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with dataset.h5, m2s.h5, diffusion.h5 and speech.wav of 2.51 s."""
    write_wav(tmp_path / "speech.wav", small_waveform(40_160))
    return go_to_copy(workspace, tmp_path, monkeypatch)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder sample`, line breaks of the terminal taken out."""
    return shell.run("sample", *QUICK, *arguments)


def clips_of(path: str = "samples.h5") -> dict[str, Clip]:
    with open_clips(Path(path), "thunder.samples") as file:
        return {clip_id: file.read(clip_id) for clip_id in file}


def refused(*arguments: str, says: str) -> None:
    code, _, stderr = run(*arguments)
    assert code == 1
    assert says in stderr
    assert not Path("samples.h5").exists()
    assert not list(Path().glob(".*partial*"))


@pytest.mark.parametrize("choosing", [(), ("--rerank", "m2s", "--draws", "3", "--m2s", "m2s.h5")])
def test_takes_that_are_kept_share_the_time_of_all(choosing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 6)
    monkeypatch.setattr("stages.sample.perf_counter", lambda: next(clock))
    code, _, stderr = run("speech.wav", *choosing)
    assert code == 0, stderr
    assert clips_of()["speech"].seconds_a_take == 3  # two takes in six seconds


def test_takes_of_a_file_with_their_seeds_and_origin() -> None:
    Path("speech.txt").write_text("hello there\n", encoding="utf-8")
    code, stdout, stderr = run("speech.wav", "--seed", "7", "--json")
    assert code == 0, stderr
    assert json.loads(stdout) == {
        "wrote": "samples.h5", "model": "diffusion.h5", "clips": 1, "takes": 2, "speech_s": 2.51,
    }  # fmt: skip
    clip = clips_of()["speech"]
    assert clip.motion.shape == (2, 63, 55)  # every started 40 ms has a frame
    assert clip.seed is not None
    assert clip.seed.tolist() == [7, 8]
    assert clip.fps == 25
    assert clip.transcript == "hello there"
    assert np.array_equal(clip.waveform, small_waveform(40_160))
    assert clip.audio_consistency is None
    assert not np.array_equal(clip.motion[0], clip.motion[1])
    assert clip.motion[..., :52].min() >= 0
    assert clip.motion[..., :52].max() <= 1
    with open_hdf5(Path("samples.h5")) as file:
        assert file.attrs["seed"] == 7
        assert set(read_json_attribute(file, "inputs")) == {"model"}
        assert read_json_attribute(file, "config")["steps"] == 2


def test_the_same_seed_gives_the_same_takes_and_the_next_seed_the_next_take() -> None:
    for seed, name in ("0", "a.h5"), ("0", "b.h5"), ("1", "c.h5"):
        assert run("speech.wav", "--seed", seed, "-o", name)[0] == 0
    a, b, c = (clips_of(name)["speech"].motion for name in ("a.h5", "b.h5", "c.h5"))
    assert np.array_equal(a, b)
    np.testing.assert_allclose(c[0], a[1], atol=1e-5)


def test_a_split_keeps_what_is_known_of_its_clips_and_files_come_besides() -> None:
    small_dataset(Path("dataset.h5"), splits=("train", "test", "test"), num_frames=60)
    code, _, stderr = run("speech.wav", "--split", "test", "--m2s", "m2s.h5")
    assert code == 0, stderr
    clips = clips_of()
    assert set(clips) == {"s1_clip", "s2_clip", "speech"}
    with open_clips(Path("dataset.h5")) as dataset:
        truth = dataset.read("s1_clip")
    found = clips["s1_clip"]
    assert found.motion.shape == (2, 60, 55)
    for name in ("subject", "emotion", "intensity", "transcript", "split", "language"):
        assert getattr(found, name) == getattr(truth, name), name
    assert [p.label for p in found.phones] == [p.label for p in truth.phones]
    assert np.array_equal(found.waveform, truth.waveform)
    for clip in clips.values():
        assert clip.audio_consistency is not None
        assert clip.audio_consistency.shape == (2,)
        assert (clip.audio_consistency > 0).all()
    with open_hdf5(Path("samples.h5")) as file:
        assert set(read_json_attribute(file, "inputs")) == {"model", "dataset", "m2s"}


def test_reranking_keeps_the_takes_that_speak_best_with_their_seeds() -> None:
    assert run("speech.wav", "--n", "6", "--m2s", "m2s.h5", "-o", "all.h5")[0] == 0
    code, _, stderr = run("speech.wav", "--rerank", "m2s", "--m2s", "m2s.h5")
    assert code == 0, stderr
    drawn, kept = clips_of("all.h5")["speech"], clips_of()["speech"]
    assert drawn.audio_consistency is not None
    assert drawn.seed is not None
    best = np.argsort(drawn.audio_consistency)[:2]
    assert not np.array_equal(best, [0, 1])
    assert kept.seed is not None
    assert kept.seed.tolist() == drawn.seed[best].tolist()
    assert kept.motion.shape == (2, 63, 55)
    np.testing.assert_allclose(kept.motion, drawn.motion[best], atol=1e-5)
    assert kept.audio_consistency is not None
    np.testing.assert_allclose(kept.audio_consistency, np.sort(drawn.audio_consistency)[:2], rtol=1e-4)
    with open_hdf5(Path("samples.h5")) as file, open_hdf5(Path("all.h5")) as unselected:
        inputs = read_json_attribute(file, "inputs")
        assert inputs["selected_by"] == inputs["m2s"]
        assert "selected_by" not in read_json_attribute(unselected, "inputs")
    evaluation = ["evaluate", "samples.h5", "--m2s", "m2s.h5", "--metrics", "m2s-mel", "--device", "cpu"]
    refusal = CliRunner().invoke(app, evaluation, env={"COLUMNS": "200"})
    assert refusal.exit_code == 1
    assert "m2s.h5: chose among the takes of samples.h5" in " ".join(refusal.stderr.split())


def test_what_reranking_wants() -> None:
    refused("speech.wav", "--rerank", "lve", says="--rerank wanted 'm2s', found 'lve'")
    refused("speech.wav", "--rerank", "m2s", "--draws", "1", says="--draws wanted at least 2, found 1")
    refused("speech.wav", "--rerank", "m2s", "--n", "5000", says="--n 5000 times --draws 3 wanted at most 10000 takes")
    assert run("speech.wav", "--draws", "2")[0] == 2


def test_reranking_listens_with_the_shipped_model(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("shipped").mkdir()
    Path("m2s.h5").rename("shipped/m2s.h5")
    monkeypatch.setattr(assets, "_FOLDERS", (Path("shipped"),))
    assert run("speech.wav", "--rerank", "m2s", "--draws", "2")[0] == 0
    assert inputs_of(Path("samples.h5"), "thunder.samples")["selected_by"] == sha256_of_file(Path("shipped/m2s.h5"))


def test_audio_guidance_is_remembered_and_stops_where_it_diverges() -> None:
    assert run("speech.wav", "--m2s", "m2s.h5", "-o", "plain.h5")[0] == 0
    assert run("speech.wav", "--m2s", "m2s.h5", "--audio-guidance", "0", "-o", "off.h5")[0] == 0
    assert run("speech.wav", "--m2s", "m2s.h5", "--audio-guidance", "0.1")[0] == 0
    plain, off, led = (clips_of(name)["speech"].motion for name in ("plain.h5", "off.h5", "samples.h5"))
    assert np.array_equal(plain, off)
    assert not np.array_equal(plain, led)
    inputs = inputs_of(Path("samples.h5"), "thunder.samples")
    assert inputs["guided_by"] == inputs["m2s"]
    assert "guided_by" not in inputs_of(Path("off.h5"), "thunder.samples")
    Path("samples.h5").unlink()
    refused("speech.wav", "--m2s", "m2s.h5", "--audio-guidance=-1", says="--audio-guidance wanted 0 or more, found -1")
    refused(
        "speech.wav", "--m2s", "m2s.h5", "--audio-guidance", "1e6", "--steps", "4",
        says="speech: --audio-guidance 1e+06 diverged: the motion came to",
    )  # fmt: skip


def test_folders_are_searched_and_equal_names_told_apart() -> None:
    Path("in/deep er").mkdir(parents=True)
    for name in ("in/a b.wav", "in/deep er/a_b.WAV"):
        write_wav(Path(name), small_waveform(8000))
    Path("in/notes.txt").write_text("no sound", encoding="utf-8")
    shutil.copy("in/a b.wav", "odd.bin")  # named: tried whatever its name
    assert run("in", "odd.bin")[0] == 0
    assert set(clips_of()) == {"a_b", "a_b-2", "odd"}


def test_one_bad_sound_does_not_stop_the_others() -> None:
    write_wav(Path("silent.wav"), np.zeros(16_000, "i2"))
    write_wav(Path("blink.wav"), small_waveform(160))
    Path("empty.wav").touch()
    Path("text.wav").write_text("this is not a sound" * 20, encoding="utf-8")
    Path("cut.wav").write_bytes(Path("speech.wav").read_bytes()[:30_000])
    bad = {
        "silent.wav": "silent", "blink.wav": "10 ms of sound", "empty.wav": "empty", "text.wav": "not a sound",
        "cut.wav": "cut short", "missing.wav": "no such file",
    }  # fmt: skip
    code, stdout, stderr = run(*list(bad)[:4], "speech.wav")
    assert code == 1
    assert "clips 1" in " ".join(stdout.split())
    assert stderr.startswith("error: 4 of 5 inputs failed: ")
    assert set(clips_of()) == {"speech"}
    Path("samples.h5").unlink()
    for name, reason in bad.items():
        refused(name, says=reason)
        assert name in run(name)[2]


def test_a_bad_clip_of_a_split_does_not_stop_the_others() -> None:
    write_dataset(small_clip("good", split="test"), _mute())
    code, _, stderr = run("--split", "test")
    assert code == 1
    assert "1 of 2 inputs failed: mute" in stderr
    assert set(clips_of()) == {"good"}


def _mute() -> Clip:
    return Clip(**{**vars(small_clip("mute", split="test")), "waveform": np.zeros(19_200, "i2")})


def test_options_are_checked_against_the_model() -> None:
    refused("speech.wav", "--emotion", "bored", says="knows no emotion 'bored'; it knows happy, neutral")
    refused("speech.wav", "--subject", "bob", says="knows no subject 'bob'; it knows s0, s1")
    refused("speech.wav", "--n", "0", says="--n wanted 1 to 10000 takes, found 0")
    refused("speech.wav", "--guidance=-1", says="--guidance wanted 0 to 100, found -1")
    refused("speech.wav", "--closure", "1.5", says="--closure wanted 0 to 1, found 1.5")
    refused("speech.wav", "--guidance", "nan", says="--guidance wanted a finite number, found nan")
    refused("speech.wav", "--intensity", "0.5", says="--intensity is that of an emotion; name it by --emotion")
    refused("speech.wav", "--emotion", "happy", "--intensity", "2", says="--intensity wanted 0 to 1, found 2")
    Path("feelings.csv").write_text("0 neutral\n0.5 bored\n")
    refused("speech.wav", "--keyframes", "feelings.csv", says="knows no emotion 'bored'")
    refused("speech.wav", "--keyframes", "feelings.csv", "--emotion", "happy", says="both say what is felt")
    assert run("speech.wav", "--emotion", "happy", "--subject", "s0", "--guidance", "2", "--intensity", "0.5")[0] == 0
    Path("feelings.csv").write_text("0 neutral\n0.5 happy 0.3\n")
    assert run("speech.wav", "--keyframes", "feelings.csv", "--sampler", "dpm-solver", "--force")[0] == 0


def write_dataset(*clips: Clip) -> None:
    with write_clips(Path("dataset.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for clip in clips:
            writer.add(clip)


def test_each_clip_is_told_its_own_emotion() -> None:
    felt = {"calm": ("neutral", 0.0), "glad": ("happy", 0.3), "elated": ("happy", 0.9)}
    write_dataset(
        *(small_clip(name, split="test", emotion=emotion, intensity=much) for name, (emotion, much) in felt.items()),
        small_clip("moved", split="val", emotion="sad"),
    )
    code, _, stderr = run("--split", "test", "--emotion", "own", "-o", "own.h5")
    assert code == 0, stderr
    own = clips_of("own.h5")
    for name, (emotion, much) in felt.items():
        assert run("--split", "test", "--emotion", emotion, "--intensity", str(much), "--force")[0] == 0
        assert np.array_equal(own[name].motion, clips_of()[name].motion)
    assert not np.array_equal(own["glad"].motion, own["elated"].motion)
    # Not unless it is asked for.
    assert run("--split", "test", "--force")[0] == 0
    assert not np.array_equal(own["glad"].motion, clips_of()["glad"].motion)
    with open_hdf5(Path("own.h5")) as file:
        assert read_json_attribute(file, "config")["emotion"] == "own"


def test_an_own_emotion_is_refused_where_none_is_known() -> None:
    write_dataset(small_clip("glad", split="test", emotion="happy"), small_clip("moved", split="test", emotion="sad"))
    own = ("--split", "test", "--emotion", "own")
    refused(
        *own,
        says="dataset.h5: clip moved is sad, which the model cannot be told; it knows happy, neutral; leave out",
    )
    refused(
        "speech.wav",
        *own,
        says="--emotion own: nobody knows that of speech.wav; give clips of a dataset alone, by --split",
    )
    refused("speech.wav", "--emotion", "own", says="--emotion own: nobody knows that of speech.wav")
    refused(*own, "--intensity", "0.5", says="--intensity is that of an emotion; name it by --emotion")
    Path("feelings.csv").write_text("0 neutral\n")
    refused(*own, "--keyframes", "feelings.csv", says="both say what is felt")


def test_what_does_not_fit_is_said_in_one_line() -> None:
    refused(
        "speech.wav",
        "--model",
        "m2s.h5",
        says="m2s.h5: wanted thunder.diffusion or thunder.animator, found thunder.m2s",
    )
    refused("speech.wav", "--model", "none.h5", says="none.h5: no such file; make it with `thunder train-diffusion`")
    refused("--split", "test", "--dataset", "none.h5", says="none.h5: no such file")
    refused("--split", "validation", says="dataset.h5: no clip in split 'validation'; choose one of train, val, test")
    refused("speech.wav", "--m2s", "diffusion.h5", says="wanted thunder.m2s, found thunder.diffusion")
    refused("speech.wav", "--device", "abacus", says="'abacus' cannot be used on this machine")
    Path("nothing").mkdir()
    refused("nothing", says="nothing: no sound file in this folder")
    Path("samples.h5").write_text("mine", encoding="utf-8")
    code, _, stderr = run("speech.wav")
    assert code == 1
    assert "samples.h5: exists already; give --force" in stderr
    assert Path("samples.h5").read_text(encoding="utf-8") == "mine"
    assert run("speech.wav", "--force")[0] == 0
    assert set(clips_of()) == {"speech"}


def test_curves_stay_in_their_range_and_head_rotation_does_not_end_there() -> None:
    held = within_range(torch.tensor([-0.5, 1.5]).repeat_interleave(55).reshape(2, 55), small_head())
    assert held[0, :52].tolist() == [0] * 52
    assert held[1, :52].tolist() == [1] * 52
    assert held[:, 52:].tolist() == [[-0.5] * 3, [1.5] * 3]


def test_nothing_to_animate_is_a_question_of_usage() -> None:
    assert run()[0] == 2
