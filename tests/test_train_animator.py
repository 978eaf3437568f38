"""`thunder train-animator faceformer`, and `sample` with what it makes."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import Clip, open_clips
from stages.artifacts.files import inputs_of, open_hdf5, read_json_attribute
from stages.audio.waveform import write_wav
from stages.models.animators import load_animator
from stages.train_animator import TrainAnimatorConfig, train_animator
from tests.builders import small_dataset, small_head, small_waveform
from tests.pretrained_folder import write_pretrained_folder
from tests.shell import run
from tests.trained import go_to_copy

TRAIN = ("train-animator", "faceformer", "--preset", "tiny", "--steps", "3", "--batch-size", "2", "--device", "cpu")
SAMPLE = ("sample", "speech.wav", "--model", "animator.h5", "--device", "cpu", "--force")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.h5, and animator.h5 of a few steps."""
    folder = tmp_path_factory.mktemp("animator")
    small_dataset(folder / "dataset.h5", num_frames=50)
    config = TrainAnimatorConfig.resolve(preset="tiny", options={"steps": 5, "batch_size": 2})
    train_animator(folder / "dataset.h5", folder / "animator.h5", config, device="cpu")
    write_wav(folder / "speech.wav", small_waveform(40_160))
    return folder


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_copy(made, tmp_path, monkeypatch)


def refused(*arguments: str, says: str) -> None:
    code, _, stderr = run(*arguments)
    assert code == 1
    assert says in stderr, stderr


def clips() -> dict[str, Clip]:
    with open_clips(Path("samples.h5"), "thunder.samples") as file:
        return {clip_id: file.read(clip_id) for clip_id in file}


def test_a_model_with_its_config_curves_and_provenance() -> None:
    code, stdout, stderr = run(*TRAIN, "-o", "new.h5", "--json", "--seed", "4")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["wrote"] == "new.h5"
    assert np.isfinite([told["val.loss"], told["val.vertices"], told["val.features"]]).all()
    checkpoint = read_checkpoint(Path("new.h5"), "thunder.animator")
    assert checkpoint.required_head.fingerprint == small_head().fingerprint
    assert (checkpoint.config["animator"], checkpoint.config["period"]) == ("faceformer", 25)
    assert checkpoint.config["subjects"] == ["s0", "s1"]
    with open_hdf5(Path("new.h5")) as file:
        assert file.attrs["seed"] == 4
        assert set(read_json_attribute(file, "inputs")) == {"dataset"}
    assert run(*TRAIN, "-o", "again.h5", "--seed", "4")[0] == 0
    again = read_checkpoint(Path("again.h5"), "thunder.animator").weights
    assert all(np.array_equal(values, again[key]) for key, values in checkpoint.weights.items())


def test_two_clips_are_learned() -> None:
    options = {"steps": 120, "batch_size": 2, "weight_features": 0.0, "learning_rate": 1e-2, "teacher_forcing": True}
    config = TrainAnimatorConfig.resolve(preset="tiny", options=options)
    train_animator(Path("dataset.h5"), Path("learned.h5"), config, device="cpu")
    loss = read_checkpoint(Path("learned.h5"), "thunder.animator").curves["train.vertices"][:, 1]
    assert loss[-1] < 0.4 * loss[0]


def test_one_take_that_is_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    code, stdout, stderr = run(*SAMPLE, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["takes"] == 1
    assert "equal" not in stderr
    motion = clips()["speech"].motion
    assert motion.shape == (1, 63, 55)
    clock = count(0, 6)
    monkeypatch.setattr("stages.sample.perf_counter", lambda: next(clock))
    code, _, stderr = run(*SAMPLE, "--n", "3", "--seed", "8")
    assert code == 0, stderr
    assert clips()["speech"].seconds_a_take == 6  # it is made once, however many are asked for
    assert "the 3 takes of an input are equal: animator.h5 is deterministic" in stderr
    three = clips()["speech"]
    assert three.motion.shape == (3, 63, 55)
    assert all(np.array_equal(take, motion[0]) for take in three.motion)
    assert inputs_of(Path("samples.h5"), "thunder.samples").keys() == {"model"}


def test_whose_style() -> None:
    model, _ = load_animator(Path("animator.h5"))
    samples = torch.from_numpy(small_waveform(40_160))
    of_all, s0, s1 = (model.animate(samples, 63, k).numpy() for k in range(3))
    assert not np.allclose(s0, s1, atol=1e-5)
    for subject, expected in ((None, of_all), ("s0", s0), ("s1", s1)):
        told = () if subject is None else ("--subject", subject)
        assert run(*SAMPLE, *told)[0] == 0
        found = clips()["speech"].motion[0][:, :52]
        np.testing.assert_allclose(found, expected[:, :52].clip(0, 1), atol=1e-5)
    # A clip of the training speaks in its own subject's style.
    assert run(*SAMPLE, "--split", "train")[0] == 0
    clip = clips()["s1_clip"]
    expected = model.animate(torch.from_numpy(clip.waveform), 50, 2).numpy()
    np.testing.assert_allclose(clip.motion[0][:, :52], expected[:, :52].clip(0, 1), atol=1e-5)


def test_what_is_not_for_it_is_refused() -> None:
    says = "animator.h5: a deterministic animator, which is told speech and a subject; leave out"
    refused(*SAMPLE, "--steps", "4", "--emotion", "happy", says=f"{says} --steps, --emotion")
    refused(*SAMPLE, "--rerank", "m2s", says=f"{says} --rerank")
    refused(*SAMPLE, "--subject", "zoe", says="animator.h5: knows no subject 'zoe'; it knows s0, s1")
    refused(*SAMPLE, "--speech-encoder", "wav2vec2", says="encodes speech by itself")
    refused(*TRAIN, "-o", "new.h5", "--freeze-encoder", says="--freeze-encoder wants an encoder that has learned")
    refused(*TRAIN, says="animator.h5: exists already")
    Path("config.toml").write_text("dim = 15\n")
    refused(*TRAIN, "-o", "new.h5", "--config", "config.toml", says="dim wanted an even multiple of num_heads (2)")
    assert run("train-animator", "talkingface", "dataset.h5")[0] == 2


@pytest.mark.parametrize("frozen", [False, True])
def test_a_folder_to_hear_by(frozen: bool, folder: Path) -> None:
    pytest.importorskip("transformers")
    write_pretrained_folder(folder / "wav2vec2", "wav2vec2", num_hidden_layers=2)
    hears = ("--speech-encoder", "wav2vec2")
    code, _, stderr = run(*TRAIN, *hears, *(("--freeze-encoder",) if frozen else ()), "-o", "by.h5")
    assert code == 0, stderr
    checkpoint = read_checkpoint(Path("by.h5"), "thunder.animator")
    assert (checkpoint.config["folder_layer"], checkpoint.config["speech_encoder"]) == (2, "wav2vec2")
    assert any(".network." in name for name in checkpoint.weights) != frozen
    model = ("sample", "speech.wav", "--model", "by.h5", "--device", "cpu", "--quiet")
    refused(*model, says="by.h5: hears speech by layer 2 of a wav2vec2 folder")
    assert run(*model, *hears)[0] == 0
    assert np.isfinite(clips()["speech"].motion).all()
