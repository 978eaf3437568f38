"""`thunder train-m2s` and `thunder train-diffusion`: what they write, with and without each other, and their errors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import open_clips, write_clips
from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.runtime.provenance import Provenance
from stages.training import loop
from stages.training.diffusion_objective import DiffusionObjective
from stages.training.m2s_objective import M2SObjective
from stages.training.windows import WindowBatch
from tests.builders import small_clip, small_dataset, small_head
from tests.shell import run

QUICK = ("--preset", "tiny", "--steps", "3", "--batch-size", "2", "--device", "cpu")
COMMANDS = [("train-m2s", "m2s.h5", "thunder.m2s"), ("train-diffusion", "diffusion.h5", "thunder.diffusion")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return small_dataset(tmp_path / "dataset.h5", num_frames=50).parent


@pytest.mark.parametrize(("command", "name", "schema"), COMMANDS)
def test_a_model_with_its_config_curves_and_provenance(command: str, name: str, schema: str) -> None:
    code, stdout, stderr = run(command, *QUICK, "--json", "--seed", "4")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["wrote"] == name
    assert told["steps"] == 3
    assert np.isfinite(told["val.loss"])
    checkpoint = read_checkpoint(Path(name), schema)
    assert checkpoint.head.fingerprint == small_head().fingerprint
    assert checkpoint.curves["train.loss"][:, 0].tolist() == [0, 2]
    assert all(np.isfinite(values).all() for values in checkpoint.weights.values())
    with open_hdf5(Path(name)) as file:
        assert file.attrs["seed"] == 4
        assert read_json_attribute(file, "config")["batch_size"] == 2
        assert set(read_json_attribute(file, "inputs")) == {"dataset"}
    assert not list(Path().glob("*.state.h5"))
    # The same seed makes the same model, another makes another.
    assert run(command, *QUICK, "--seed", "4", "-o", "again.h5")[0] == 0
    assert run(command, *QUICK, "--seed", "5", "-o", "other.h5")[0] == 0
    again, other = (read_checkpoint(Path(p), schema).weights for p in ("again.h5", "other.h5"))
    assert all(np.array_equal(values, again[key]) for key, values in checkpoint.weights.items())
    assert any(not np.array_equal(values, other[key]) for key, values in checkpoint.weights.items())


@pytest.mark.parametrize("kind", ["face2s", "exp2s"])
def test_other_inputs_of_mesh_to_speech(kind: str) -> None:
    assert run("train-m2s", *QUICK, "--input", kind)[0] == 0
    config = read_checkpoint(Path("m2s.h5"), "thunder.m2s").config
    assert config["input"] == kind
    assert config["input_size"] == {"face2s": 192, "exp2s": 52}[kind]


def test_a_listener_is_one_flag_away_and_changes_what_is_learned() -> None:
    assert run("train-m2s", *QUICK)[0] == 0
    assert run("train-diffusion", *QUICK, "-o", "without.h5")[0] == 0
    code, stdout, stderr = run("train-diffusion", *QUICK, "--m2s", "m2s.h5", "-o", "with.h5", "--json")
    assert code == 0, stderr
    assert {"val.audio_mel", "val.audio_units", "val.unit_accuracy"} < set(json.loads(stdout))
    with_it, without = (read_checkpoint(Path(p), "thunder.diffusion") for p in ("with.h5", "without.h5"))
    assert with_it.weights.keys() == without.weights.keys()
    assert any(not np.array_equal(values, without.weights[key]) for key, values in with_it.weights.items())
    assert with_it.config["emotions"] == ["happy", "neutral"]
    assert with_it.config["subjects"] == ["s0", "s1"]
    with open_hdf5(Path("with.h5")) as file:
        assert set(read_json_attribute(file, "inputs")) == {"dataset", "m2s"}


def test_the_deterministic_twin_gives_one_take_however_many_are_asked_for() -> None:
    assert run("train-m2s", *QUICK)[0] == 0
    assert run("train-diffusion", *QUICK, "--regression", "--m2s", "m2s.h5")[0] == 0
    assert read_checkpoint(Path("diffusion.h5"), "thunder.diffusion").config["regression"] is True
    listen = ("--split", "test", "--m2s", "m2s.h5", "--device", "cpu")
    assert run("sample", *listen, "--n", "2")[0] == 0
    with open_clips(Path("samples.h5"), "thunder.samples") as file:
        motion = file.read(next(iter(file))).motion
    assert np.array_equal(motion[0], motion[1])
    for choosing in (("--rerank", "m2s"), ("--audio-guidance", "0.1")):
        code, _, stderr = run("sample", *listen, *choosing, "--force")
        assert code == 1
        assert "diffusion.h5: made by --regression, it leaves nothing to choose or lead" in stderr
    code, _, stderr = run("sample", *listen, "--steps", "4", "--sampler", "ddim", "--force")
    assert code == 1
    assert "diffusion.h5: made by --regression, it answers in one step; leave out --steps and --sampler" in stderr


@pytest.mark.parametrize(("command", "name", "schema"), COMMANDS)
def test_no_validation_clips_are_no_obstacle(command: str, name: str, schema: str) -> None:
    small_dataset(Path("dataset.h5"), splits=("train", "train"), num_frames=50)
    code, stdout, stderr = run(command, *QUICK)
    assert code == 0, stderr
    assert "val." not in stdout
    assert "val.loss" not in read_checkpoint(Path(name), schema).curves


@pytest.mark.parametrize(("command", "name", "schema"), COMMANDS)
@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_other_frame_rates(command: str, name: str, schema: str, fps: float) -> None:
    small_dataset(Path("dataset.h5"), num_frames=round(2 * fps), fps=fps)
    assert run(command, *QUICK)[0] == 0
    if command == "train-diffusion":
        assert read_checkpoint(Path(name), schema).config["fps"] == fps


def test_mixed_precision() -> None:
    Path("mixed.toml").write_text('precision = "bf16-mixed"\n', encoding="utf-8")
    for command in ("train-m2s", "train-diffusion"):
        more = ("--m2s", "m2s.h5") if command == "train-diffusion" else ()
        code, _, stderr = run(command, *QUICK, "--config", "mixed.toml", *more)
        assert code == 0, stderr


def test_an_interrupted_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("train-diffusion", *QUICK, "-o", "whole.h5")[0] == 0
    clock = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))  # every step saves its state
    real, calls = loop.save_state, iter(range(10))

    def save_then_interrupt(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        if next(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_state", save_then_interrupt)
    code, _, stderr = run("train-diffusion", *QUICK)
    assert (code, stderr) == (130, "error: interrupted")
    assert Path("diffusion.state.h5").exists()
    assert not Path("diffusion.h5").exists()
    code, _, stderr = run("train-diffusion", *QUICK)
    assert code == 1
    assert "diffusion.state.h5: an interrupted training is here; --resume goes on, --force starts over" in stderr
    assert run("train-diffusion", *QUICK, "--resume")[0] == 0
    assert not Path("diffusion.state.h5").exists()
    whole, resumed = (read_checkpoint(Path(p), "thunder.diffusion") for p in ("whole.h5", "diffusion.h5"))
    assert all(np.array_equal(values, resumed.weights[key]) for key, values in whole.weights.items())


@pytest.mark.parametrize(("command", "name", "schema"), COMMANDS)
def test_errors_say_what_and_leave_nothing(command: str, name: str, schema: str) -> None:
    def refused(*arguments: str, says: str) -> None:
        code, _, stderr = run(command, *QUICK, *arguments)
        assert code == 1
        assert says in stderr
        assert stderr.count("error:") == 1
        assert not Path(name).exists()

    refused("nowhere.h5", says="nowhere.h5: no such file; make it with `thunder preprocess`")
    refused("--resume", says=".state.h5: no interrupted training to go on with")
    refused("--learning-rate", "1e30", says="lower --learning-rate")
    refused("--device", "cuda:9", says="'cuda:9' cannot be used on this machine")
    small_dataset(Path("tests_only.h5"), splits=("test",))
    refused("tests_only.h5", says="tests_only.h5: no clip in split 'train'")
    Path("sound.h5").write_bytes(b"RIFF")
    refused("sound.h5", says="sound.h5: not a readable HDF5 file")
    with write_clips(Path("rates.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for clip in (small_clip("a"), small_clip("b", fps=30.0)):
            writer.add(clip)
    refused("rates.h5", says="clips of 25, 30 fps; preprocess the corpus to one rate")
    Path(name).write_text("mine", encoding="utf-8")
    code, _, stderr = run(command, *QUICK)
    assert code == 1
    assert f"{name}: exists already; give --force" in stderr
    assert Path(name).read_text(encoding="utf-8") == "mine"
    assert run(command, *QUICK, "--force")[0] == 0
    assert read_checkpoint(Path(name), schema)


def test_mesh_to_speech_needs_enough_speech_and_a_mouth() -> None:
    small_dataset(Path("short.h5"), splits=("train",), num_frames=5)
    code, _, stderr = run("train-m2s", "short.h5", *QUICK)
    assert code == 1
    assert "0.2 s of training speech cannot fill 16 speech units" in stderr
    head = small_head()
    small_dataset(Path("mouthless.h5"), head=replace(head, regions={"lips": head.regions["lips"]}))
    code, _, stderr = run("train-m2s", "mouthless.h5", *QUICK)
    assert code == 1
    assert "mouth2s wanted a region 'mouth', found lips; preprocess the corpus again" in stderr
    assert "use --input face2s or exp2s" in stderr


@pytest.mark.parametrize("command", ["train-m2s", "train-diffusion"])
def test_a_clip_without_speech_or_of_absurd_motion_is_named(command: str) -> None:
    for name, spoilt in (
        ("mute", {"waveform": np.zeros(32_000, "i2")}),
        ("huge", {"motion": small_clip(num_frames=50).motion * np.float32(1e30)}),
    ):
        with write_clips(Path(f"{name}.h5"), "thunder.dataset", small_head(), Provenance(0), force=False) as writer:
            writer.add(small_clip("good", num_frames=50))
            writer.add(replace(small_clip(name, num_frames=50), **spoilt))
    for name, says in (
        ("mute", "mute.h5: clip mute has no speech"),
        ("huge", "clip huge: motion reaches 4.5e+29, that of other clips 0.45"),
    ):
        code, _, stderr = run(command, f"{name}.h5", *QUICK, "-o", "new.h5")
        assert code == 1
        assert says in stderr
        assert stderr.count("error:") == 1
        assert not Path("new.h5").exists()


@pytest.mark.parametrize(
    ("command", "objective"), [("train-m2s", M2SObjective), ("train-diffusion", DiffusionObjective)]
)
def test_a_loss_that_is_no_number_names_the_clip_that_made_it(
    command: str, objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = objective.forward

    def spoiled(self: Any, batch: WindowBatch, *arguments: Any) -> dict[str, torch.Tensor]:
        terms = made(self, batch, *arguments)
        # The second training clip.
        return terms | {"loss": terms["loss"] * torch.where((batch.clip == 1).any(), torch.nan, 1.0)}

    monkeypatch.setattr(objective, "forward", spoiled)
    code, _, stderr = run(command, "--preset", "tiny", "--steps", "9", "--batch-size", "8", "-o", "new.h5")
    assert code == 1
    assert "error: the loss became nan" in stderr
    assert "in clip s1_clip; lower --learning-rate" in stderr


def test_a_listener_of_another_head_is_refused() -> None:
    head = small_head()
    other = replace(head, faces=head.faces[:-2], name="another head")
    small_dataset(Path("other.h5"), head=other, num_frames=50)
    assert run("train-m2s", "other.h5", *QUICK)[0] == 0
    code, _, stderr = run("train-diffusion", *QUICK, "--m2s", "m2s.h5")
    assert code == 1
    assert "m2s.h5: trained on head another head" in stderr
    assert "thunder train-m2s" in stderr
    code, _, stderr = run("train-diffusion", *QUICK, "--m2s", "dataset.h5")
    assert code == 1
    assert "wanted thunder.m2s, found thunder.dataset" in stderr
    assert not Path("diffusion.h5").exists()
    with open_clips(Path("dataset.h5")) as file:
        assert len(file) == 4
