"""Who may judge samples, and what is read in their faces: `thunder evaluate --m2s --recogniser`."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.files import inputs_of, open_hdf5, read_json_attribute
from stages.artifacts.metrics_file import read_metrics
from stages.audio.log_mel import speech_log_mel
from stages.heads.head import build_head
from stages.models.mesh_to_speech import load_mesh_to_speech
from stages.models.recogniser import load_recogniser, transcribe
from stages.models.reconstruction import reconstruct_mel
from stages.runtime import assets
from stages.runtime.provenance import Provenance, sha256_of_file
from stages.sample import SampleConfig, sample
from stages.train_diffusion import TrainDiffusionConfig, train_diffusion
from stages.train_m2s import TrainM2SConfig, train_m2s
from stages.train_recogniser import TrainRecogniserConfig, train_recogniser
from stages.train_vocoder import TrainVocoderConfig, train_vocoder
from tests import shell
from tests.builders import small_dataset, small_head
from tests.trained import go_to_copy

STEPS = {"steps": 2, "batch_size": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m2s.h5 supervised diffusion.h5, which made samples.h5; another.h5 and recogniser.h5 had no part in it."""
    folder = tmp_path_factory.mktemp("made")
    dataset = small_dataset(folder / "dataset.h5", num_frames=60)
    for name, seed in (("m2s.h5", 0), ("another.h5", 100)):
        train_m2s(dataset, folder / name, TrainM2SConfig.resolve(preset="tiny", options=STEPS), seed=seed, device="cpu")
    config = TrainRecogniserConfig.resolve(preset="tiny", options=STEPS)
    train_recogniser(dataset, folder / "recogniser.h5", config, device="cpu")
    taught = TrainDiffusionConfig.resolve(preset="tiny", options=STEPS)
    train_diffusion(dataset, folder / "diffusion.h5", taught, m2s=folder / "m2s.h5", device="cpu")
    options = SampleConfig.resolve(options={"takes": 2, "steps": 2})
    model = folder / "diffusion.h5"
    sample([], folder / "samples.h5", options, model=model, dataset=dataset, split="train", device="cpu")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in, with no shipped judge or recogniser."""
    monkeypatch.setattr(assets, "_FOLDERS", (tmp_path / "shipped",))
    return go_to_copy(made, tmp_path, monkeypatch)


def run(*arguments: str) -> tuple[int, str, str]:
    return shell.run("evaluate", *arguments, "--force", "--device", "cpu")


def rewrite(change: Callable[[Clip], Clip]) -> None:
    """Changes every clip of samples.h5, keeping what it remembers of its inputs."""
    inputs = inputs_of(Path("samples.h5"), "thunder.samples")
    with open_clips(Path("samples.h5")) as file:
        clips = [change(file.read(clip_id)) for clip_id in file]
    provenance = Provenance(seed=0, inputs=inputs)
    with write_clips(Path("samples.h5"), "thunder.samples", small_head(), provenance, force=True) as writer:
        for clip in clips:
            writer.add(clip)


def test_samples_remember_who_supervised_their_model(folder: Path) -> None:
    inputs = inputs_of(Path("samples.h5"), "thunder.samples")
    assert inputs["supervised_by"] == sha256_of_file(Path("m2s.h5"))
    assert inputs["model"] == sha256_of_file(Path("diffusion.h5"))


def test_the_model_that_supervised_is_refused_unless_told_otherwise(folder: Path) -> None:
    code, _, err = run("--m2s", "m2s.h5")
    assert code == 1
    assert "m2s.h5: supervised the model that made samples.h5" in err
    assert "thunder train-m2s --seed 100 -o judge.h5`, or give --same-judge" in err
    assert not Path("metrics.h5").exists()
    shutil.copy("m2s.h5", "judge.h5")  # a copy is the same judge
    assert run("--m2s", "judge.h5")[0] == 1
    assert run("--m2s", "another.h5")[0] == 0
    assert run("--m2s", "m2s.h5", "--same-judge")[0] == 0
    with open_hdf5(Path("metrics.h5")) as file:
        assert read_json_attribute(file, "config")["same_judge"] is True
        assert read_json_attribute(file, "inputs")["m2s"] == sha256_of_file(Path("m2s.h5"))


def test_an_unnamed_judge_is_the_first_that_may_judge(folder: Path) -> None:
    code, _, err = run()
    assert code == 0
    assert "not computed: m2s-mel" in err
    assert "m2s.h5: supervised the model that made samples.h5" in err
    Path("shipped").mkdir()
    shutil.copy("another.h5", "shipped/judge.h5")
    code, out, _ = run("--json")
    assert code == 0
    assert json.loads(out)["m2s"].endswith("shipped/judge.h5")
    shutil.copy("another.h5", "judge.h5")
    assert json.loads(run("--json")[1])["m2s"] == "judge.h5"
    Path("m2s.h5").unlink()
    Path("judge.h5").unlink()
    shutil.rmtree("shipped")
    code, _, err = run()
    assert code == 0
    assert "needs a mesh-to-speech model; give --m2s judge.h5, made with `thunder train-m2s`" in err


def test_error_rates_are_those_of_what_is_heard_in_all_clips_together(folder: Path) -> None:
    texts = {"s0_clip": "Hello!", "s1_clip": "hole oh hello hell"}
    rewrite(lambda clip: replace(clip, transcript=texts[clip.id]))
    train = {**STEPS, "steps": 1}
    with open_clips(Path("dataset.h5")) as file:
        clips = [replace(file.read(i), transcript="hello oh eh") for i in file]
    with write_clips(Path("told.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for clip in clips:
            writer.add(clip)
    options = TrainRecogniserConfig.resolve(preset="tiny", options=train)
    train_recogniser(Path("told.h5"), Path("recogniser.h5"), options, device="cpu", force=True)
    assert run("--m2s", "another.h5", "--metrics", "m2s-cer")[0] == 0
    judge, record = load_mesh_to_speech(Path("another.h5"))
    reader, head = load_recogniser(Path("recogniser.h5")), build_head(record)
    truths: dict[str, list[str]] = {"m2s-cer": [], "m2s-cer-truth": [], "m2s-cer-speech": []}
    reads: dict[str, list[str]] = {name: [] for name in truths}
    with open_clips(Path("samples.h5")) as samples, open_clips(Path("dataset.h5")) as dataset:
        for clip_id in samples:
            clip, true = samples.read(clip_id), dataset.read(clip_id)
            sound = torch.from_numpy(clip.waveform)
            text = texts[clip_id].strip("!").lower()
            for name, motion in (("m2s-cer", clip.motion), ("m2s-cer-truth", true.motion[None])):
                mel = reconstruct_mel(judge, head, torch.from_numpy(motion), clip.fps, sound)[0]
                reads[name] += transcribe(reader, mel)
                truths[name] += [text] * len(motion)
            reads["m2s-cer-speech"] += transcribe(reader, speech_log_mel(sound)[None])
            truths["m2s-cer-speech"].append(text)
    assert any(reads["m2s-cer"])
    rows = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    assert rows.keys() == truths.keys()
    for name, row in rows.items():
        assert row.value == pytest.approx(jiwer.cer(truths[name], reads[name])), name
    assert rows["m2s-cer-speech"].per_clip[0] == pytest.approx(jiwer.cer("hello", reads["m2s-cer-speech"][0]))


def test_transcripts_that_cannot_be_compared(folder: Path) -> None:
    arguments = ("--m2s", "another.h5", "--metrics", "m2s-cer", "--recogniser", "recogniser.h5")
    rewrite(lambda clip: replace(clip, transcript="hello" if clip.id == "s0_clip" else "你好"))
    code, _, err = run(*arguments)
    assert code == 0
    assert "m2s-cer: not finite on 1 clips, which were left out: s1_clip" in err
    rewrite(lambda clip: replace(clip, transcript="你好"))
    code, _, err = run(*arguments)
    assert code == 1
    assert "recogniser.h5: cannot write '你好' of clip s0_clip, nor any other transcript of samples.h5" in err
    rewrite(lambda clip: replace(clip, transcript=""))
    code, _, err = run(*arguments)
    assert code == 1
    assert "samples.h5: no clip has a transcript to compare with" in err
    # What was not asked for is no obstacle.
    code, _, err = run("--m2s", "another.h5")
    assert code == 0
    assert "no clip has a transcript" in err
    assert {"m2s-mel", "m2s-units"} <= {row.name for row in read_metrics(Path("metrics.h5"))}


def test_reading_needs_a_recogniser_and_a_judge(folder: Path) -> None:
    code, _, err = run("--m2s", "another.h5", "--recogniser", "m2s.h5", "--metrics", "m2s-cer")
    assert code == 1
    assert "m2s.h5: wanted thunder.recogniser, found thunder.m2s" in err
    Path("recogniser.h5").unlink()
    code, _, err = run("--m2s", "another.h5", "--metrics", "m2s-cer")
    assert code == 1
    assert "metric m2s-cer: needs a recogniser; give --recogniser" in err
    assert run("--m2s", "another.h5", "--metrics", "m2s")[0] == 0
    assert not any(row.name.startswith("m2s-cer") for row in read_metrics(Path("metrics.h5")))


def test_a_short_face_is_read_as_silence_and_not_as_an_error(folder: Path) -> None:
    rewrite(lambda clip: replace(clip, motion=clip.motion[:, :1], waveform=np.ones(640, "i2")))
    code, _, err = run("--m2s", "another.h5", "--metrics", "m2s-cer", "--reference", "dataset.h5")
    assert code == 1
    assert "has 1 frames, the reference 60" in err
    Path("dataset.h5").unlink()
    assert run("--m2s", "another.h5", "--metrics", "m2s-cer")[0] == 0


def test_a_vocoder_of_the_judge_makes_sound_of_what_is_read(folder: Path) -> None:
    config = TrainVocoderConfig.resolve(preset="tiny", options=STEPS)
    for name in ("another", "m2s"):
        train_vocoder(Path("dataset.h5"), Path(f"{name}.h5"), Path(f"{name}-voice.h5"), config, device="cpu")
    arguments = ("--m2s", "another.h5", "--metrics", "m2s-cer", "--vocoder")
    assert run(*arguments, "another-voice.h5")[0] == 0
    with open_hdf5(Path("metrics.h5")) as file:
        assert read_json_attribute(file, "inputs")["vocoder"] == sha256_of_file(Path("another-voice.h5"))
    code, _, err = run(*arguments, "m2s-voice.h5")
    assert code == 1
    assert "m2s-voice.h5: speaks units and voices" in err
    assert run(*arguments, "another.h5")[0] == 1
