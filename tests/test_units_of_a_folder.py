"""Speech units made of a user's HuBERT folder: what m2s.h5 remembers of it, and who asks for it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stages.artifacts.clips import open_clips, write_clips
from stages.audio.log_mel import speech_log_mel
from stages.audio.pretrained import identity_of
from stages.models.mesh_to_speech import load_mesh_to_speech
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.train_m2s import TrainM2SConfig, train_m2s
from tests.pretrained_folder import DIM, write_pretrained_folder
from tests.trained import tiny_workspace
from thunder_cli.app import app

pytest.importorskip("transformers")

TINY = TrainM2SConfig.resolve(preset="tiny", options={"steps": 4, "batch_size": 2})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny_workspace, samples.h5, two folders, and by_folder.h5, whose units are the second layer of the first."""
    folder = tiny_workspace(tmp_path_factory.mktemp("units"))
    with (
        open_clips(folder / "dataset.h5") as file,
        write_clips(folder / "samples.h5", "thunder.samples", file.head, Provenance(seed=0), force=True) as writer,
    ):
        for clip in (file.read(clip_id) for clip_id in file.ids("test")):
            writer.add(replace(clip, motion=clip.motion[None], seed=np.array([0])))
    write_pretrained_folder(folder / "hubert")
    write_pretrained_folder(folder / "other", seed=1)
    train_m2s(
        folder / "dataset.h5", folder / "by_folder.h5", TINY, hubert=folder / "hubert", hubert_layer=2, device="cpu"
    )
    return folder


def test_the_model_remembers_its_folder(workspace: Path) -> None:
    with h5py.File(workspace / "by_folder.h5") as file:
        model, inputs = json.loads(file.attrs["model"]), json.loads(file.attrs["inputs"])
        assert file["normalisation/centroids"].shape == (16, DIM)
        # The user's weights stay the user's.
        assert not any("conv_layers" in name or "encoder.layers" in name for name in file["weights"])
    identity = identity_of(workspace / "hubert")
    assert inputs["hubert"] == identity
    assert [model[f"unit_{key}"] for key in ("encoder", "layer", "features", "folder")] == ["hubert", 2, DIM, identity]


def test_units_are_the_nearest_of_transformers_own_features(workspace: Path) -> None:
    import transformers

    model, _ = load_mesh_to_speech(workspace / "by_folder.h5", hubert=workspace / "hubert")
    network = transformers.HubertModel.from_pretrained(workspace / "hubert", local_files_only=True).eval()
    with open_clips(workspace / "dataset.h5") as file:
        waveform = torch.from_numpy(file.read(file.ids()[0]).waveform)
    sound = waveform.float() / 32768
    sound = (sound - sound.mean()) / torch.sqrt(sound.var(correction=0) + 1e-7)
    num_frames = len(sound) // 320
    padded = torch.cat([torch.zeros(200), sound])[: 400 + 320 * (num_frames - 1)]
    with torch.no_grad():
        features = network(padded[None], output_hidden_states=True).hidden_states[2][0]
    expected = torch.cdist(features, model.centroids).argmin(1)
    mel = speech_log_mel(waveform)
    units = model.name_units(waveform, mel)
    assert units.shape == (num_frames,)
    assert (units == expected).float().mean() > 0.98  # a frame may lie between two
    assert len(units.unique()) > 2
    # Silence after the speech, as training pads clips with, leaves what is said before it what it was.
    longer = model.name_units(waveform, torch.nn.functional.pad(mel, (0, 0, 0, 20), value=-11.512925))
    assert longer.shape == (num_frames + 10,)
    assert (longer[: num_frames - 5] == units[:-5]).float().mean() > 0.8


def test_who_names_no_units_needs_no_folder(workspace: Path) -> None:
    load_mesh_to_speech(workspace / "by_folder.h5", names_units=False)
    result = run(workspace, "speak", "dataset.h5", "--m2s", "by_folder.h5", "-o", "spoken")
    assert result.exit_code == 0, result.output


def run(workspace: Path, *arguments: str) -> Any:
    """Runs a command, its files being those of the workspace."""
    places = [str(workspace / a) if "." in a or a in ("hubert", "other", "spoken") else a for a in arguments]
    return CliRunner().invoke(app, [*places, "--device", "cpu", "--quiet"])


COMMANDS = {
    "train-diffusion": ("dataset.h5", "--preset", "tiny", "--steps", "2", "-o", "new.h5"),
    "sample": ("--split", "test", "--dataset", "dataset.h5", "--model", "diffusion.h5", "--n", "1", "-o", "new.h5"),
    "evaluate": ("samples.h5", "--reference", "dataset.h5", "--metrics", "m2s-mel,m2s-units", "-o", "new.h5"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_who_names_units_asks_for_the_folder(workspace: Path, command: str) -> None:
    arguments = (command, *COMMANDS[command], "--m2s", "by_folder.h5")
    (workspace / "new.h5").unlink(missing_ok=True)

    missing = run(workspace, *arguments)
    assert missing.exit_code == 1
    assert "are made of layer 2 of a hubert folder of SHA-256" in flat(missing.output)
    assert "give that folder with --hubert FOLDER" in flat(missing.output)

    other = run(workspace, *arguments, "--hubert", "other")
    assert other.exit_code == 1
    assert f"found {identity_of(workspace / 'other')[:12]}" in flat(other.output)
    assert "give the folder it was trained with" in flat(other.output)
    assert not (workspace / "new.h5").exists()

    right = run(workspace, *arguments, "--hubert", "hubert")
    assert right.exit_code == 0, right.output
    assert (workspace / "new.h5").exists()

    surplus = run(workspace, *arguments[:-1], "m2s.h5", "--hubert", "hubert", "--force")
    assert surplus.exit_code == 1
    assert "its speech units are not made of a folder; leave out --hubert" in flat(surplus.output)

    if command != "evaluate":  # which takes one that is at hand
        nobody = run(workspace, *arguments[:-2], "--hubert", "hubert")
        assert nobody.exit_code == 2
        assert "needs --m2s MODEL" in flat(nobody.output)


def flat(output: str) -> str:
    """Output without the line breaks and frames of a terminal."""
    return " ".join(output.replace("│", " ").split())


def test_training_by_command(workspace: Path) -> None:
    options = ("train-m2s", "dataset.h5", "-o", "by_command.h5", "--preset", "tiny", "--steps", "2")
    result = run(workspace, *options, "--hubert", "hubert", "--hubert-layer", "3")
    assert result.exit_code == 0, result.output
    assert load_mesh_to_speech(workspace / "by_command.h5", hubert=workspace / "hubert")[0].config.unit_layer == 3
    beyond = run(workspace, *options, "--hubert", "hubert", "--hubert-layer", "4", "--force")
    assert beyond.exit_code == 1
    assert "wanted layer 4, found layers 1 to 3" in flat(beyond.output)
    alone = run(workspace, *options, "--hubert-layer", "3", "--force")
    assert alone.exit_code == 2
    assert "needs --hubert FOLDER" in flat(alone.output)


def test_a_folder_that_lost_its_weights(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace / "hubert", tmp_path / "copy")
    assert load_mesh_to_speech(workspace / "by_folder.h5", hubert=tmp_path / "copy")  # wherever it lies, it is the same
    (tmp_path / "copy" / "model.safetensors").unlink()
    with pytest.raises(ThunderError, match=r"incomplete, neither model\.safetensors nor pytorch_model\.bin"):
        load_mesh_to_speech(workspace / "by_folder.h5", hubert=tmp_path / "copy")
    with pytest.raises(ThunderError, match="incomplete"):
        train_m2s(workspace / "dataset.h5", tmp_path / "new.h5", TINY, hubert=tmp_path / "copy", device="cpu")
    assert not (tmp_path / "new.h5").exists()
