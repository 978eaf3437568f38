"""Tiny trained models, made once by the stages themselves, for the tests of commands that need one."""

import shutil
from pathlib import Path

import pytest

from stages.train_diffusion import TrainDiffusionConfig, train_diffusion
from stages.train_m2s import TrainM2SConfig, train_m2s
from tests.builders import small_dataset


def tiny_workspace(folder: Path) -> Path:
    """Writes dataset.h5, m2s.h5 and diffusion.h5, each of a few steps; returns the folder."""
    small_dataset(folder / "dataset.h5", num_frames=60)
    options = {"steps": 4, "batch_size": 2}
    train_m2s(
        folder / "dataset.h5",
        folder / "m2s.h5",
        TrainM2SConfig.resolve(preset="tiny", options=options | {"input": "mouth2s"}),
        device="cpu",
    )
    train_diffusion(
        folder / "dataset.h5",
        folder / "diffusion.h5",
        TrainDiffusionConfig.resolve(preset="tiny", options=options),
        device="cpu",
    )
    return folder


def go_to_copy(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Works in a folder of a test's own with a copy of what many tests share; returns it."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    return folder
