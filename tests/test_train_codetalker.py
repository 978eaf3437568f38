"""`thunder train-animator codetalker`, in its two stages, and `sample` with what it makes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages import train_animator as stage
from stages.artifacts.checkpoint import read_checkpoint, write_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.files import inputs_of
from stages.artifacts.head_record import HeadRecord
from stages.audio.waveform import write_wav
from stages.heads.head import build_head
from stages.models.animators import load_animator
from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from stages.runtime.progress import silent
from stages.runtime.provenance import Provenance, sha256_of_file
from stages.train_animator import TrainCodeTalkerConfig
from stages.training import motion_codebook
from stages.training.animator_objective import AnimatorObjective
from stages.training.motion_codebook import AutoencoderObjective, CodebookPaths, learn_codebook
from stages.training.windows import WindowBatch, WindowShape
from tests.builders import small_dataset, small_head, small_waveform
from tests.test_train_animator import refused, run
from tests.training.clips import telling_clip

QUICK = ("--preset", "tiny", "--steps", "3", "--autoencoder-steps", "4", "--batch-size", "2", "--device", "cpu")
TRAIN = ("train-animator", "codetalker", *QUICK)
STATES = (Path("animator.codes.state.h5"), Path("animator.codes.h5"), Path("animator.state.h5"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small_dataset(tmp_path / "dataset.h5", num_frames=50)
    return tmp_path


def weights_of(path: str) -> dict[str, np.ndarray]:
    return read_checkpoint(Path(path), "thunder.animator").weights


def test_both_stages_in_one_file_that_samples() -> None:
    code, stdout, stderr = run(*TRAIN, "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert np.isfinite([told["val.loss"], told["val.vertices"], told["val.codes"]]).all()
    assert not any(path.exists() for path in STATES)
    checkpoint = read_checkpoint(Path("animator.h5"), "thunder.animator")
    assert checkpoint.required_head.fingerprint == small_head().fingerprint
    assert (checkpoint.config["animator"], checkpoint.config["decoded_frames"]) == ("codetalker", 30)
    assert {"codes.train.perplexity", "codes.val.vertices", "train.codes", "val.vertices"} <= checkpoint.curves.keys()
    write_wav(Path("speech.wav"), small_waveform(40_160))
    code, _, stderr = run("sample", "speech.wav", "--model", "animator.h5", "--device", "cpu", "--subject", "s1")
    assert code == 0, stderr
    with open_clips(Path("samples.h5"), "thunder.samples") as file:
        motion = file.read("speech").motion
    model, _ = load_animator(Path("animator.h5"))
    assert isinstance(model, CodeTalker)
    expected = model.animate(torch.from_numpy(small_waveform(40_160)), 63, 2).numpy()
    assert motion.shape == (1, 63, 55)
    np.testing.assert_allclose(motion[0][:, :52], expected[:, :52].clip(0, 1), atol=1e-5)


def test_two_clips_are_learned() -> None:
    options = {"steps": 100, "autoencoder_steps": 150, "batch_size": 2, "weight_features": 0.0}
    config = TrainCodeTalkerConfig.resolve(preset="tiny", options=options)
    stage.train_animator(Path("dataset.h5"), Path("learned.h5"), config, device="cpu")
    curves = read_checkpoint(Path("learned.h5"), "thunder.animator").curves
    reconstructed, animated = (curves[name][:, 1] for name in ("codes.train.vertices", "train.vertices"))
    assert reconstructed[-1] < 0.5 * reconstructed[0]
    assert animated[-1] < 0.4 * animated[0]
    assert curves["codes.train.perplexity"][-1, 1] > 4  # more codes in use than a collapsed codebook has


def test_the_second_stage_leaves_the_first_as_it_was() -> None:
    assert run(*TRAIN, "-o", "short.h5")[0] == 0
    assert run(*TRAIN, "-o", "long.h5", "--steps", "9")[0] == 0
    short, long = weights_of("short.h5"), weights_of("long.h5")
    same = {name for name, values in short.items() if np.array_equal(values, long[name])}
    assert {name for name in short if name.startswith("autoencoder.")} <= same
    assert not {"to_codes.weight", "embed_motion.weight", "blocks.0.look_back.weight"} & same


def test_the_first_stage_of_another() -> None:
    assert run(*TRAIN, "-o", "first.h5", "--seed", "5")[0] == 0
    taken = ("train-animator", "codetalker", *QUICK[:4], *QUICK[6:], "--autoencoder-from", "first.h5")
    Path("config.toml").write_text("num_codes = 7\n")  # the other's sizes take its place
    assert run(*taken, "--config", "config.toml")[0] == 0
    first, second = (read_checkpoint(Path(name), "thunder.animator") for name in ("first.h5", "animator.h5"))
    same = {name for name, values in first.weights.items() if np.array_equal(values, second.weights[name])}
    assert {name for name in first.weights if name.startswith("autoencoder.")} <= same
    assert not {"to_codes.weight", "embed_motion.weight", "style.weight"} & same
    assert second.config["num_codes"] == first.config["num_codes"] == 32
    for name in ("motion_mean", "motion_scale"):
        np.testing.assert_array_equal(first.normalisation[name], second.normalisation[name])
    assert inputs_of(Path("animator.h5"), "thunder.animator")["autoencoder_from"] == sha256_of_file(Path("first.h5"))
    assert not any(name.startswith("codes.") for name in second.curves)


def test_what_has_no_first_stage_to_take() -> None:
    assert run("train-animator", "faceformer", *QUICK[:4], *QUICK[6:], "-o", "faceformer.h5")[0] == 0
    taken = ("train-animator", "codetalker", *QUICK[:4], *QUICK[6:], "--autoencoder-from")
    refused(*taken, "faceformer.h5", says="faceformer.h5: --autoencoder-from wants a codetalker, found a faceformer")
    code, _, stderr = run(*TRAIN, "--autoencoder-from", "faceformer.h5")
    assert code == 2
    assert "--autoencoder-from takes one that is trained" in stderr
    assert run(*TRAIN, "-o", "first.h5")[0] == 0
    rewrite("first.h5", "other.h5", head=replace(small_head(), faces=small_head().faces[::-1]))
    refused(*taken, "other.h5", says="other.h5: --autoencoder-from wants motion of head small test head")
    rewrite("first.h5", "fast.h5", fps=30.0)
    refused(
        *taken,
        "fast.h5",
        says="--autoencoder-from wants motion at 25 fps, found a model of 30 fps; give one of that rate",
    )
    # Whose speech nobody can hear any more has a first stage all the same.
    rewrite("first.h5", "folder.h5", speech_encoder="wav2vec2", folder_layer=2, folder_sha256="ab" * 32)
    assert run(*taken, "folder.h5")[0] == 0


def rewrite(source: str, target: str, head: HeadRecord | None = None, **config: Any) -> None:
    """Another model of the same weights."""
    checkpoint = read_checkpoint(Path(source), "thunder.animator")
    checkpoint = replace(checkpoint, config=checkpoint.config | config, head=head or checkpoint.head)
    write_checkpoint(Path(target), "thunder.animator", checkpoint, Provenance(seed=0), force=True)


def test_a_second_stage_goes_on_from_its_own_first_one_alone() -> None:
    assert run(*TRAIN, "-o", "first.h5")[0] == 0
    taken = ("train-animator", "codetalker", *QUICK[:4], *QUICK[6:], "--autoencoder-from", "first.h5")
    Path("animator.codes.state.h5").touch()
    # What is left of a first stage is not what a training without one goes on with.
    refused(*taken, "--resume", says="animator.state.h5: no interrupted training to go on with")
    Path("animator.codes.state.h5").rename("animator.state.h5")
    says = (
        "animator.state.h5: the first stage that it goes on from is missing, animator.codes.h5; give --autoencoder-from"
    )
    refused(*TRAIN, "--resume", says=says)


@pytest.mark.parametrize("interrupted_in", ["the first stage", "between", "the second stage"])
def test_going_on_where_it_was_interrupted(interrupted_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.toml").write_text("save_every_s = 0.0\n")
    command = (*TRAIN, "--config", "config.toml")
    assert run(*command, "-o", "whole.h5")[0] == 0
    module = motion_codebook if interrupted_in == "the first stage" else stage
    train = module.train

    def stop(*arguments: Any, **options: Any) -> Any:
        if interrupted_in == "between":
            raise KeyboardInterrupt
        step, taken = arguments[3], 0

        def step_or_stop(*batch: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == 3:
                raise KeyboardInterrupt
            return step(*batch)

        return train(*arguments[:3], step_or_stop, *arguments[4:], **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, "train", stop)
        assert run(*command)[0] == 130
    left = {"the first stage": STATES[:1], "between": STATES[1:2], "the second stage": STATES[1:]}[interrupted_in]
    assert [path for path in STATES if path.exists()] == list(left)
    refused(*command, says="an interrupted training is here; --resume goes on, --force starts over")
    code, _, stderr = run(*command, "--resume")
    assert code == 0, stderr
    whole, resumed = weights_of("whole.h5"), weights_of("animator.h5")
    assert all(np.array_equal(values, resumed[name]) for name, values in whole.items())
    curves = read_checkpoint(Path("animator.h5"), "thunder.animator").curves
    assert curves.keys() == read_checkpoint(Path("whole.h5"), "thunder.animator").curves.keys()
    assert not any(path.exists() for path in STATES)


def test_what_cannot_be() -> None:
    Path("config.toml").write_text("autoencoder_dim = 33\n")
    refused(*TRAIN, "--config", "config.toml", says="autoencoder_dim wanted a multiple of autoencoder_heads (2)")
    refused(*TRAIN, "--resume", says="animator.state.h5: no interrupted training to go on with")
    code, _, stderr = run("train-animator", "faceformer", *QUICK)
    assert code == 2
    assert "only codetalker has an autoencoder" in stderr


@pytest.mark.parametrize("objective", [AutoencoderObjective, AnimatorObjective])
def test_a_loss_that_is_no_number_names_the_clip_that_made_it(objective: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = objective.forward

    def spoiled(self: Any, batch: WindowBatch, *arguments: Any) -> dict[str, torch.Tensor]:
        terms = made(self, batch, *arguments)
        # The second training clip.
        return terms | {"loss": terms["loss"] * torch.where((batch.clip == 1).any(), torch.nan, 1.0)}

    monkeypatch.setattr(objective, "forward", spoiled)
    refused(*TRAIN, "--batch-size", "8", says="in clip s1_clip; lower --learning-rate")


def test_codes_of_other_motion_are_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stage, "train", stop)
        assert run(*TRAIN)[0] == 130
    small_dataset(Path("dataset.h5"), num_frames=50, seed=5)
    refused(*TRAIN, "--resume", says="animator.codes.h5: the interrupted training had dataset ")
    # What a second stage left belongs to its first.
    Path("animator.state.h5").touch()
    with monkeypatch.context() as patched:
        patched.setattr(motion_codebook, "train", stop)
        assert run(*TRAIN, "--force")[0] == 130
    assert not Path("animator.state.h5").exists()


def test_all_that_the_first_stage_needs_is_on_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = build_head(small_head())
    sizes = {"num_features": 55, "fps": 25.0, "subjects": ("ann",), "period": 25, "dim": 16, "num_layers": 1}
    coded = {"autoencoder_dim": 16, "autoencoder_layers": 1, "autoencoder_feed_forward": 16}
    network = CodeTalker(CodeTalkerConfig(**sizes, **coded))
    objective = AutoencoderObjective(network, head, vertices=torch.arange(4), scale=1.0, weight_features=0.0)

    def see(objective: AutoencoderObjective, *arguments: Any, **options: Any) -> None:
        # The loop moves the objective, which the animator is no part of.
        assert {value.device.type for value in objective.animator.state_dict().values()} == {"meta"}
        raise KeyboardInterrupt

    monkeypatch.setattr(motion_codebook, "train", see)
    with pytest.raises(KeyboardInterrupt):
        learn_codebook(
            objective,
            TrainCodeTalkerConfig.resolve(preset="tiny"),
            [],
            [telling_clip(40, 25.0)],
            WindowShape(30, 25.0),
            CodebookPaths.beside(tmp_path / "a.h5"),
            inputs={},
            device=torch.device("meta"),
            seed=0,
            resume=False,
            progress=silent,
        )
