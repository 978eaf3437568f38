"""`thunder train-vocoder`: what it writes, that it goes on as if never interrupted, and its errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import write_clips
from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.models.mesh_to_speech import load_mesh_to_speech
from stages.models.vocoder import ears_fingerprint, load_vocoder
from stages.runtime.provenance import Provenance
from stages.train_m2s import TrainM2SConfig, train_m2s
from stages.training import loop
from tests import shell
from tests.builders import small_clip, small_dataset, small_head
from tests.trained import go_to_copy

QUICK = ("--preset", "tiny", "--steps", "4", "--batch-size", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocoder")
    small_dataset(folder / "dataset.h5", num_frames=50)
    options = {"steps": 2, "batch_size": 2}
    train_m2s(
        folder / "dataset.h5", folder / "m2s.h5", TrainM2SConfig.resolve(preset="tiny", options=options), device="cpu"
    )
    return folder


@pytest.fixture(autouse=True)
def folder(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_copy(shared, tmp_path, monkeypatch)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder train-vocoder`, line breaks of the terminal taken out."""
    return shell.run("train-vocoder", *QUICK, *arguments)


def test_a_vocoder_with_its_config_curves_and_provenance() -> None:
    code, stdout, stderr = run("--json", "--seed", "4")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["wrote"] == "vocoder.h5"
    assert all(np.isfinite(told[f"val.{kind}_{term}"]) for kind in ("true", "heard") for term in ("mel", "stft"))
    checkpoint = read_checkpoint(Path("vocoder.h5"), "thunder.vocoder")
    assert checkpoint.head is None
    # The critics join half-way: after two of four steps, of which the first and the last are noted.
    assert checkpoint.curves["train.mel"][:, 0].tolist() == [0, 3]
    assert checkpoint.curves["train.critics"][:, 0].tolist() == [3]
    with open_hdf5(Path("vocoder.h5")) as file:
        assert file.attrs["seed"] == 4
        assert read_json_attribute(file, "config")["heard_share"] == 0.5
        assert set(read_json_attribute(file, "inputs")) == {"dataset", "m2s"}
    vocoder, model = load_vocoder(Path("vocoder.h5")), load_mesh_to_speech(Path("m2s.h5"))[0]
    assert vocoder.config.ears == ears_fingerprint(model)
    assert vocoder.config.num_units == model.config.num_units
    torch.testing.assert_close(vocoder.mel_mean, model.mel_mean)
    assert not list(Path().glob("*.state.h5"))
    # The same seed makes the same vocoder, another makes another.
    assert run("--seed", "4", "-o", "again.h5")[0] == 0
    assert run("--seed", "5", "-o", "other.h5")[0] == 0
    again, other = (read_checkpoint(Path(p), "thunder.vocoder").weights for p in ("again.h5", "other.h5"))
    assert all(np.array_equal(values, again[key]) for key, values in checkpoint.weights.items())
    assert any(not np.array_equal(values, other[key]) for key, values in checkpoint.weights.items())


def test_what_the_face_tells_has_a_part_unless_told_otherwise() -> None:
    weights = {}
    for share in ("0", "1"):
        code, _, stderr = run("--heard-share", share, "-o", f"{share}.h5")
        assert code == 0, stderr
        weights[share] = read_checkpoint(Path(f"{share}.h5"), "thunder.vocoder").weights["enter.weight"]
    assert not np.array_equal(weights["0"], weights["1"])


def test_an_interrupted_training_goes_on_as_if_never_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half, where the critics have joined, would differ if the training forgot how far it was."""
    assert run("-o", "whole.h5")[0] == 0
    clock = iter(range(0, 10**9, 1000))
    real, calls = loop.save_state, iter(range(10))

    def save_then_interrupt(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        if next(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.time, "monotonic", lambda: float(next(clock)))  # every step saves its state
        patch.setattr(loop, "save_state", save_then_interrupt)
        assert run()[0] == 130
    assert Path("vocoder.state.h5").exists()
    assert run()[0] == 1
    assert run("--resume")[0] == 0
    whole, resumed = (read_checkpoint(Path(p), "thunder.vocoder") for p in ("whole.h5", "vocoder.h5"))
    assert all(np.array_equal(values, resumed.weights[key]) for key, values in whole.weights.items())
    assert resumed.curves.keys() == whole.curves.keys()


def test_half_weights_mixed_precision_and_few_hours() -> None:
    Path("half.toml").write_text('half_weights = true\nprecision = "bf16-mixed"\nhours = 1e-6\n', encoding="utf-8")
    code, _, stderr = run("--config", "half.toml")
    assert code == 0, stderr
    with open_hdf5(Path("vocoder.h5")) as file:
        assert file["weights/enter.weight"].dtype == np.float16
    assert load_vocoder(Path("vocoder.h5")).enter.weight.dtype == torch.float32


def test_errors_say_what_and_leave_nothing() -> None:
    def refused(*arguments: str, says: str) -> None:
        code, _, stderr = run(*arguments)
        assert code == 1
        assert says in stderr
        assert stderr.count("error:") == 1
        assert not Path("vocoder.h5").exists()

    refused("nowhere.h5", says="nowhere.h5: no such file; make it with `thunder preprocess`")
    refused("--m2s", "nowhere.h5", says="nowhere.h5: no such file; make it with `thunder train-m2s`")
    refused("--m2s", "dataset.h5", says="dataset.h5: wanted thunder.m2s, found thunder.dataset")
    refused("--resume", says=".state.h5: no interrupted training to go on with")
    refused("-o", "m2s.h5", "--force", says="m2s.h5: is an input of this command too")
    refused("--heard-share", "2", says="--heard-share wanted at most 1, found 2.0")
    refused("--learning-rate", "1e30", says="lower --learning-rate")
    Path("odd.toml").write_text("upsampling = [7]\n", encoding="utf-8")
    refused("--config", "odd.toml", says="factors of upsampling multiply to 7, wanted a proper divisor of 160")
    small_dataset(Path("tests_only.h5"), splits=("test",))
    refused("tests_only.h5", says="tests_only.h5: no clip in split 'train'")
    head = small_head()
    small_dataset(Path("other.h5"), head=replace(head, faces=head.faces[:-2], name="another head"))
    refused("other.h5", says="m2s.h5: trained on head small test head")
    with write_clips(Path("mute.h5"), "thunder.dataset", head, Provenance(seed=0), force=False) as writer:
        writer.add(replace(small_clip("mute"), waveform=np.zeros(19_200, "i2")))
    refused("mute.h5", says="mute.h5: clip mute has no speech, its sound is silent")


def test_a_clip_shorter_than_what_the_vocoder_sees_and_no_validation_clips() -> None:
    small_dataset(Path("dataset.h5"), splits=("train",), num_frames=2)
    code, stdout, stderr = run()
    assert code == 0, stderr
    assert "val." not in stdout
