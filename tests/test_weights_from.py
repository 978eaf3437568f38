"""`--weights-from`: an animator, of either kind, that goes on to learn on other recordings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from stages.artifacts.files import inputs_of
from stages.artifacts.head_record import HeadRecord
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from stages.runtime.provenance import Provenance, sha256_of_file
from stages.training.first_weights import go_on_from, go_on_from_animator
from tests.builders import small_dataset, small_head
from tests.models.test_motion_denoiser import denoiser_of
from tests.shell import run
from tests.trained import go_to_copy, tiny_workspace

TRAIN = ("train-diffusion", "--steps", "1", "--batch-size", "2", "--device", "cpu", "--quiet", "--force")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_copy(made, tmp_path, monkeypatch)


def read(name: str) -> Checkpoint:
    return read_checkpoint(Path(name), "thunder.diffusion")


def rewrite(
    target: str, *, head: HeadRecord | None = None, inputs: dict[str, str] | None = None, **config: Any
) -> None:
    """diffusion.h5 with something else said of it."""
    checkpoint = read("diffusion.h5")
    checkpoint = replace(checkpoint, config=checkpoint.config | config, head=head or checkpoint.head)
    write_checkpoint(Path(target), "thunder.diffusion", checkpoint, Provenance(0, inputs=inputs or {}), force=True)


def test_it_begins_where_the_other_stopped_whatever_sizes_are_configured() -> None:
    small_dataset(Path("mine.h5"), num_frames=60, seed=7)
    # A step this short leads nowhere.
    result = run(*TRAIN, "mine.h5", "-o", "on.h5", "--weights-from", "diffusion.h5", "--learning-rate", "1e-12")
    assert result[0] == 0, result
    before, after = read("diffusion.h5"), read("on.h5")
    assert after.config["dim"] == before.config["dim"] == 32  # of the preset tiny, not small
    assert before.weights.keys() == after.weights.keys()
    for name, value in before.weights.items():
        np.testing.assert_allclose(after.weights[name], value, atol=1e-7, err_msg=name)
    for name, value in before.normalisation.items():
        np.testing.assert_array_equal(after.normalisation[name], value)
    assert inputs_of(Path("on.h5"), "thunder.diffusion")["weights_from"] == sha256_of_file(Path("diffusion.h5"))


def test_it_learns_on_and_an_encoder_may_be_left_as_it_is() -> None:
    common = (*TRAIN, "--weights-from", "diffusion.h5", "--learning-rate", "0.01", "-o", "on.h5")
    before = read("diffusion.h5").weights
    of_encoder = [name for name in before if name.startswith("speech_encoder")]
    for freeze in ((), ("--freeze-encoder",)):
        assert run(*common, *freeze)[0] == 0
        after = read("on.h5").weights
        assert not np.array_equal(after["out.weight"], before["out.weight"])
        kept = [np.array_equal(after[name], before[name]) for name in of_encoder]
        assert all(kept) if freeze else not all(kept)


def test_emotions_and_subjects_are_known_by_name() -> None:
    source = denoiser_of(emotions=("angry", "happy"), subjects=("ann", "bob"), names_phones=True)
    network = denoiser_of(emotions=("happy", "sad"), subjects=("bob", "cem", "ann"))
    go_on_from(network, source)
    for table in ("embed_emotion", "embed_intensity"):
        ours, theirs = getattr(network, table).weight, getattr(source, table).weight
        torch.testing.assert_close(ours, torch.stack([0 * theirs[0], theirs[2], 0 * theirs[0]]))
    theirs = source.embed_subject.weight
    torch.testing.assert_close(
        network.embed_subject.weight, torch.stack([0 * theirs[0], theirs[2], 0 * theirs[0], theirs[1]])
    )
    torch.testing.assert_close(network.out.weight, source.out.weight)
    assert network.name_phones is None


def test_who_taught_it_before_is_remembered() -> None:
    rewrite("taught.h5", inputs={"m2s": "ab" * 32, "dataset": "cd" * 32})
    assert run(*TRAIN, "--weights-from", "taught.h5", "-o", "on.h5")[0] == 0
    inputs = inputs_of(Path("on.h5"), "thunder.diffusion")
    assert inputs["m2s"] == "ab" * 32
    assert inputs["dataset"] == sha256_of_file(Path("dataset.h5"))
    assert run(*TRAIN, "--weights-from", "taught.h5", "--m2s", "m2s.h5", "-o", "on.h5")[0] == 0
    assert inputs_of(Path("on.h5"), "thunder.diffusion")["m2s"] == sha256_of_file(Path("m2s.h5"))


def test_what_cannot_be_gone_on_from() -> None:
    rewrite("other.h5", head=replace(small_head(), faces=small_head().faces[::-1]))
    rewrite("fast.h5", fps=30.0)
    rewrite("folder.h5", speech_encoder="wav2vec2", folder_layer=2, folder_sha256="ab" * 32)
    wanted = {
        ("m2s.h5",): "m2s.h5: wanted thunder.diffusion, found thunder.m2s",
        ("other.h5",): "other.h5: --weights-from wants motion of head small test head",
        ("fast.h5",): "fast.h5: --weights-from wants motion at 30 fps, found 25; preprocess the corpus with --fps 30",
        ("folder.h5",): "--weights-from wants a model with an encoder of its own",
        ("diffusion.h5", "--encoder-from", "diffusion.h5"): "--encoder-from and --weights-from both say what hears",
    }
    for arguments, says in wanted.items():
        code, _, stderr = run(*TRAIN, "-o", "on.h5", "--weights-from", *arguments)
        assert (code, says in stderr) == (1, True), stderr
    code, _, stderr = run(*TRAIN, "-o", "diffusion.h5", "--weights-from", "diffusion.h5")
    assert code == 1
    assert "diffusion.h5" in stderr
    assert not Path("on.h5").exists()


@pytest.mark.parametrize("architecture", ["faceformer", "codetalker"])
def test_a_deterministic_animator_goes_on_too(architecture: str) -> None:
    train = ("train-animator", architecture, *TRAIN[1:], "--preset", "tiny")
    first_stage = ("--autoencoder-steps", "2") if architecture == "codetalker" else ()
    assert run(*train, *first_stage, "-o", "first.h5")[0] == 0
    on = ("train-animator", architecture, *TRAIN[1:], "-o", "on.h5", "--weights-from", "first.h5")  # of preset small
    assert run(*on, "--learning-rate", "1e-12")[0] == 0
    before, after = (read_checkpoint(Path(name), "thunder.animator") for name in ("first.h5", "on.h5"))
    assert after.config == before.config | {"dropout": after.config["dropout"]}
    assert before.weights.keys() == after.weights.keys()
    for name, value in before.weights.items():
        np.testing.assert_allclose(after.weights[name], value, atol=1e-7, err_msg=name)
    for name, value in before.normalisation.items():
        np.testing.assert_array_equal(after.normalisation[name], value)
    assert run(*on, "--learning-rate", "0.01", "--freeze-encoder")[0] == 0
    after = read_checkpoint(Path("on.h5"), "thunder.animator")
    kept = {name for name, value in before.weights.items() if np.array_equal(after.weights[name], value)}
    assert {name for name in before.weights if name.startswith(("speech_encoder.", "autoencoder."))} <= kept
    assert "style.weight" not in kept
    other = "codetalker" if architecture == "faceformer" else "faceformer"
    code, _, stderr = run("train-animator", other, *TRAIN[1:], "-o", "none.h5", "--weights-from", "first.h5")
    assert code == 1
    assert f"first.h5: --weights-from wants a {other}, found a {architecture}" in stderr


def test_styles_are_known_by_name_and_others_begin_as_the_mean_of_all() -> None:
    sizes = {
        "num_features": 5,
        "fps": 25.0,
        "period": 25,
        "dim": 8,
        "encoder_dim": 8,
        "encoder_layers": 1,
        "encoder_kernel": 3,
    }
    source, network = (
        FaceFormer(FaceFormerConfig(subjects=names, **sizes)) for names in (("ann", "bob"), ("bob", "cem"))
    )
    go_on_from_animator(network, source)
    styles = source.style.weight
    torch.testing.assert_close(network.style.weight, torch.stack([styles[:, 1], styles.mean(1)], dim=1))
    torch.testing.assert_close(network.embed_motion.weight, source.embed_motion.weight)


def test_a_model_is_gone_on_from_with_its_first_stage() -> None:
    for option in (("--autoencoder-steps", "2"), ("--autoencoder-from", "x.h5")):
        code, _, stderr = run("train-animator", "codetalker", "--weights-from", "x.h5", *option)
        assert code == 2
        assert f"{option[0]}: --weights-from goes on from a model with its autoencoder" in stderr
