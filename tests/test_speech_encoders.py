"""What the animator hears by: an encoder of its own, frozen or not, or a user's folder, frozen or trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.files import inputs_of
from stages.audio.pretrained import identity_of, load_pretrained
from stages.models.motion_denoiser import load_motion_denoiser
from stages.models.speech_encoder import FolderEncoder
from stages.runtime.provenance import sha256_of_file
from tests.builders import small_dataset, small_waveform
from tests.pretrained_folder import DIM, write_pretrained_folder
from thunder_cli.app import app

pytest.importorskip("transformers")

QUICK = ("--preset", "tiny", "--steps", "3", "--batch-size", "2", "--device", "cpu", "--quiet")
SAMPLE = ("sample", "--split", "test", "--n", "2", "--steps", "2", "--device", "cpu", "--quiet")
HEARS = ("--speech-encoder", "wavlm", "--speech-encoder-layer", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.h5, two folders, and own.h5, frozen.h5 and trained.h5, which hear by themselves and by the first."""
    folder = tmp_path_factory.mktemp("encoders")
    small_dataset(folder / "dataset.h5", num_frames=60)
    write_pretrained_folder(folder / "wavlm", "wavlm")
    write_pretrained_folder(folder / "other", "hubert", seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("train-diffusion", *QUICK, "-o", "own.h5", "--learning-rate", "0.01")
        done("train-diffusion", *QUICK, *HEARS, "--freeze-encoder", "-o", "frozen.h5")
        done("train-diffusion", *QUICK, *HEARS, "-o", "trained.h5")
    return folder


@pytest.fixture(autouse=True)
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def done(*arguments: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, result.output


def refused(*arguments: str, says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert says in " ".join(result.output.split())


def weights_of(name: str) -> dict[str, np.ndarray]:
    return read_checkpoint(Path(name), "thunder.diffusion").weights


def test_a_frozen_folder_stays_the_users_and_a_trained_one_is_kept_with_the_model() -> None:
    identity = identity_of(Path("wavlm"))
    for name in ("frozen.h5", "trained.h5"):
        config = read_checkpoint(Path(name), "thunder.diffusion").config
        assert (config["speech_encoder"], config["folder_layer"], config["folder_sha256"]) == ("wavlm", 2, identity)
        assert inputs_of(Path(name), "thunder.diffusion")["speech_encoder"] == identity
    assert not any("network" in name for name in weights_of("frozen.h5"))
    assert weights_of("frozen.h5")["speech_encoder.project.1.weight"].shape == (32, DIM)
    learned = weights_of("trained.h5")
    network = dict(load_pretrained(Path("wavlm"), layer=2).named_parameters())
    changed = {
        name: not np.array_equal(learned[f"speech_encoder.network.{name}"], value.numpy())
        for name, value in network.items()
    }
    assert not any(moved for name, moved in changed.items() if "feature_extractor" in name)
    assert any(moved for name, moved in changed.items() if "encoder.layers" in name)


@pytest.mark.parametrize("name", ["frozen.h5", "trained.h5"])
def test_who_samples_gives_the_folder_again(name: str) -> None:
    refused(*SAMPLE, "--model", name, "--force", says=f"{name}: hears speech by layer 2 of a wavlm folder of SHA-256")
    refused(
        *SAMPLE,
        "--model",
        name,
        "--speech-encoder",
        "other",
        "--force",
        says=f"found {identity_of(Path('other'))[:12]}",
    )
    done(*SAMPLE, "--model", name, "--speech-encoder", "wavlm", "--force")
    with open_clips(Path("samples.h5"), "thunder.samples") as file:
        motion = file.read(next(iter(file))).motion
    assert np.isfinite(motion).all()
    assert not np.array_equal(motion[0], motion[1])
    refused(
        *SAMPLE, "--model", "own.h5", "--speech-encoder", "wavlm", "--force", says="leave out --speech-encoder wavlm"
    )


def test_a_frozen_network_hears_the_recording_whole_and_a_trained_one_in_blocks_of_a_feature() -> None:
    samples = torch.from_numpy(small_waveform(16_000 + 100))
    quiet = (samples.float() / 4).round().to(torch.int16)
    network = load_pretrained(Path("wavlm"), layer=2)
    frozen = FolderEncoder(network, 8, frozen=True)
    features = frozen.read(samples)
    assert features.shape == (50, DIM)
    torch.testing.assert_close(features, frozen.read(quiet), atol=0.05, rtol=0.05)  # whatever the volume
    assert frozen(features[None]).shape == (1, 50, 8)
    assert not any(name.startswith("network") for name, _ in frozen.named_parameters())
    trained = FolderEncoder(load_pretrained(Path("wavlm"), layer=2), 8, frozen=False)
    blocks = trained.read(samples)
    assert blocks.shape == (51, 320)
    assert float(blocks.flatten()[-220:].abs().sum()) == 0
    trained(blocks[None]).square().sum().backward()
    with_gradient = {name for name, p in trained.named_parameters() if p.grad is not None}
    assert with_gradient == {name for name, _ in trained.named_parameters() if "feature_extractor" not in name}


def test_speech_of_a_folder_stands_at_its_own_time() -> None:
    denoiser, _ = load_motion_denoiser(Path("frozen.h5"), speech_encoder=Path("wavlm"))
    assert denoiser.speech_margin == 0
    sound = torch.arange(100.0)[None, :, None].expand(1, 100, DIM)
    denoiser.speech_encoder.project = torch.nn.Identity()
    heard = denoiser.encode_speech(sound, 0.1, 20)[0, :, 0]
    torch.testing.assert_close(heard, 5 + 2 * torch.arange(20.0))  # 50 Hz beside 25 fps


def test_an_encoder_of_another_model_is_kept_or_learned_on() -> None:
    own = {name: value for name, value in weights_of("own.h5").items() if name.startswith("speech_encoder")}
    common = (*QUICK, "--encoder-from", "own.h5", "--force", "--learning-rate", "0.01")
    done("train-diffusion", *common, "--freeze-encoder", "-o", "kept.h5")
    kept = weights_of("kept.h5")
    assert own
    assert all(np.array_equal(kept[name], value) for name, value in own.items())
    assert inputs_of(Path("kept.h5"), "thunder.diffusion")["encoder_from"] == sha256_of_file(Path("own.h5"))
    done("train-diffusion", *common, "-o", "on.h5", "--seed", "5")
    on = weights_of("on.h5")
    moved = max(float(np.abs(on[name] - value).max()) for name, value in own.items())
    assert 0 < moved < 0.2
    done(*SAMPLE, "--model", "kept.h5", "--force")  # with nothing else given


def test_a_deterministic_animator_begins_with_it_too() -> None:
    own = {name: value for name, value in weights_of("own.h5").items() if name.startswith("speech_encoder")}
    common = ("train-animator", "faceformer", *QUICK, "--max-clips", "1", "--encoder-from", "own.h5", "--force")
    done(*common, "--freeze-encoder")
    kept = read_checkpoint(Path("animator.h5"), "thunder.animator")
    assert all(np.array_equal(kept.weights[name], value) for name, value in own.items())
    source = read_checkpoint(Path("own.h5"), "thunder.diffusion")
    for name in ("speech_encoder.mel_mean", "speech_encoder.mel_scale"):
        np.testing.assert_array_equal(kept.normalisation[name], source.normalisation[name])
    assert len(kept.config["subjects"]) == 1
    done(*common, "--learning-rate", "0.01")
    on = read_checkpoint(Path("animator.h5"), "thunder.animator").weights
    assert not all(np.array_equal(on[name], value) for name, value in own.items())
    refused("train-animator", "faceformer", *QUICK, "--freeze-encoder", says="wants an encoder that has learned")


def test_what_does_not_go_together() -> None:
    refused("train-diffusion", *QUICK, "--freeze-encoder", says="--freeze-encoder wants an encoder that has learned")
    both = ("--encoder-from", "own.h5", *HEARS)
    refused("train-diffusion", *QUICK, *both, says="both say what hears the speech")
    refused(
        "train-diffusion", *QUICK, "--speech-encoder", "none", says="none: no such folder; --speech-encoder wants one"
    )
    for command in (("train-diffusion",), ("train-animator", "faceformer")):
        says = (
            "--encoder-from wants a model with an encoder of its own; give that folder by --speech-encoder in its place"
        )
        refused(*command, *QUICK, "--encoder-from", "frozen.h5", "-o", "none.h5", says=says)
    assert run("train-diffusion", *QUICK, "--speech-encoder-layer", "2").exit_code == 2
