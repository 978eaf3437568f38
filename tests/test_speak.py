"""`thunder speak`: as many sounds as takes, as long as the motion, by a vocoder or without, and films of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stages import speak as stage
from stages.artifacts.clips import write_clips
from stages.runtime.provenance import Provenance
from stages.train_m2s import TrainM2SConfig, train_m2s
from stages.train_vocoder import TrainVocoderConfig, train_vocoder
from tests import shell
from tests.builders import small_clip, small_dataset, small_head
from tests.rendering import films
from tests.trained import go_to_copy

NUM_FRAMES, FPS = 31, 30.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, a vocoder of the first, a dataset, and samples of two takes whose head does not leave the picture."""
    folder = tmp_path_factory.mktemp("speak")
    small_dataset(folder / "dataset.h5", num_frames=60, fps=FPS)
    options = {"steps": 2, "batch_size": 2}
    for name, seed in (("m2s.h5", 0), ("judge.h5", 1)):
        config = TrainM2SConfig.resolve(preset="tiny", options=options)
        train_m2s(folder / "dataset.h5", folder / name, config, seed=seed, device="cpu")
    paths = folder / "dataset.h5", folder / "m2s.h5", folder / "vocoder.h5"
    train_vocoder(*paths, TrainVocoderConfig.resolve(preset="tiny", options=options), device="cpu")
    with write_clips(folder / "samples.h5", "thunder.samples", small_head(), Provenance(seed=0), force=True) as writer:
        for k, name in enumerate(("a", "b")):
            clip = small_clip(name, num_frames=NUM_FRAMES, fps=FPS, seed=k)
            motion = np.stack([clip.motion, 0.5 * clip.motion])
            motion[..., -3:] *= 0.05
            writer.add(replace(clip, motion=motion, seed=np.arange(2)))
    return folder


@pytest.fixture(autouse=True)
def folder(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stage, "find_asset", lambda name: None)
    return go_to_copy(shared, tmp_path, monkeypatch)


def run(*arguments: str) -> tuple[int, str, str]:
    return shell.run("speak", "--device", "cpu", *arguments)


def sounds(folder: str) -> dict[str, np.ndarray]:
    return {path.name: soundfile.read(path)[0] for path in sorted(Path(folder).glob("*.wav"))}


def test_a_sound_a_take_as_long_as_its_motion() -> None:
    code, stdout, stderr = run("--json")
    assert code == 0, stderr
    assert json.loads(stdout) == {"wrote": "spoken", "m2s": "m2s.h5", "vocoder": "vocoder.h5", "sounds": 4}
    found = sounds("spoken")
    assert list(found) == ["a.0.wav", "a.1.wav", "b.0.wav", "b.1.wav"]
    for sound in found.values():
        assert abs(len(sound) - 16_000 * NUM_FRAMES / FPS) <= 160
        assert 0 < np.abs(sound).max() <= 0.96
    assert not np.array_equal(found["a.0.wav"], found["a.1.wav"])
    # One clip alone says the same.
    assert run("--clip", "a", "-o", "one")[0] == 0
    alone = sounds("one")
    assert list(alone) == ["a.0.wav", "a.1.wav"]
    assert all(np.array_equal(sound, found[name]) for name, sound in alone.items())


def test_without_a_vocoder_griffin_lim_and_it_is_said() -> None:
    by_vocoder = run("-o", "vocoder")
    assert "Griffin-Lim" not in by_vocoder[2]
    Path("vocoder.h5").unlink()
    code, stdout, stderr = run("-o", "griffin")
    assert code == 0
    assert "no vocoder for m2s.h5 here: the sound is Griffin-Lim's; `thunder train-vocoder --m2s m2s.h5`" in stderr
    assert "Griffin-Lim" in stdout
    one, other = sounds("vocoder"), sounds("griffin")
    assert one.keys() == other.keys()
    assert all(len(one[name]) == len(other[name]) and not np.array_equal(one[name], other[name]) for name in one)


def test_a_vocoder_of_another_model_is_refused_if_named_and_passed_over_if_not() -> None:
    code, _, stderr = run("--m2s", "judge.h5", "--vocoder", "vocoder.h5")
    assert code == 1
    assert "vocoder.h5: speaks units and voices" in stderr
    assert "train one with `thunder train-vocoder --m2s judge.h5`" in stderr
    assert not Path("spoken").exists()
    code, stdout, stderr = run("--m2s", "judge.h5")
    assert code == 0
    assert "no vocoder for judge.h5 here" in stderr
    assert "Griffin-Lim" in stdout


def test_films_of_takes_and_of_recordings() -> None:
    code, stdout, stderr = run("--clip", "a", "--film", "--size", "64", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["films"] == 2
    duration, words = films.describe(Path("spoken/a.1.mp4"))
    assert duration == pytest.approx(2 * NUM_FRAMES / FPS, abs=0.1)
    assert "Audio: aac" in words
    assert not list(Path("spoken").glob("b.*"))


def test_a_recording_is_spoken_too() -> None:
    code, stdout, stderr = run("dataset.h5", "-o", "recorded", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["sounds"] == 4
    assert all(abs(len(sound) - 32_000) <= 160 for sound in sounds("recorded").values())


def test_files_that_exist_are_refused_before_anything_is_written() -> None:
    Path("spoken").mkdir()
    Path("spoken/b.1.wav").write_bytes(b"years of work")
    code, _, stderr = run()
    assert code == 1
    assert "error: spoken/b.1.wav: exists already; give --force to replace it" in stderr
    assert [p.name for p in Path("spoken").iterdir()] == ["b.1.wav"]
    assert run("--clip", "a")[0] == 0
    # Films that would be overwritten count when films are asked for, and only then.
    Path("spoken/a.0.mp4").write_bytes(b"a film")
    code, _, stderr = run("--film", "--size", "64")
    assert code == 1
    assert "4 files exist already, the first spoken/a.0.wav; give --force to replace them" in stderr
    assert Path("spoken/b.1.wav").read_bytes() == b"years of work"
    assert run("--force")[0] == 0
    assert Path("spoken/b.1.wav").read_bytes() != b"years of work"
    assert Path("spoken/a.0.mp4").read_bytes() == b"a film"


def test_errors_say_what_and_write_nothing() -> None:
    for arguments, says in (
        (("nowhere.h5",), "nowhere.h5: no such file"),
        (("--m2s", "nowhere.h5"), "nowhere.h5: no such file; make it with `thunder train-m2s`"),
        (("--vocoder", "nowhere.h5"), "nowhere.h5: no such file; make it with `thunder train-vocoder`"),
        (("--vocoder", "m2s.h5"), "m2s.h5: wanted thunder.vocoder, found thunder.m2s"),
        (("--clip", "z"), "z"),
        (("--film", "--size", "9"), "panel height wanted 32 to 4096 pixels, found 9; choose another --size"),
        (("-o", "dataset.h5"), "dataset.h5: a file, wanted a folder for the sounds"),
    ):
        code, _, stderr = run(*arguments)
        assert code == 1, arguments
        assert says in stderr
        assert stderr.count("error:") == 1
        assert not Path("spoken").exists()


def test_with_no_model_here_the_embedded_one_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("m2s.h5").rename("shipped.h5")
    Path("vocoder.h5").rename("shipped_vocoder.h5")
    monkeypatch.setattr(stage, "asset_path", lambda name: Path("shipped.h5").resolve())
    monkeypatch.setattr(stage, "find_asset", lambda name: Path("shipped_vocoder.h5").resolve())
    code, stdout, stderr = run("--json")
    assert code == 0, stderr
    assert "no m2s.h5 here: the embedded model, shipped.h5, listened" in stderr
    assert "the embedded one, shipped_vocoder.h5, spoke" in stderr
    assert json.loads(stdout)["vocoder"].endswith("shipped_vocoder.h5")
