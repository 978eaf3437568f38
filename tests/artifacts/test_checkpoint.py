"""Checkpoints, training states and metrics: what is written comes back, what is incomplete is refused."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.artifacts.checkpoint import (
    Checkpoint,
    read_checkpoint,
    read_training_state,
    write_checkpoint,
    write_training_state,
)
from stages.artifacts.metrics_file import MetricRow, read_metrics, write_metrics
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_head

CHECKPOINT = Checkpoint(
    config={"dim": 8, "emotions": ["fröhlich"]},
    weights={"encoder.0.weight": np.arange(6, dtype="f4").reshape(2, 3), "scale": np.array(2.0), "n": np.array([3])},
    normalisation={"mean": np.zeros(55, "f4")},
    head=small_head(),
    curves={"loss": np.array([[1, np.inf], [2, 0.5]])},
)


def test_a_model_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "m2s.h5"
    write_checkpoint(path, "thunder.m2s", CHECKPOINT, Provenance(seed=0), force=False)
    found = read_checkpoint(path, "thunder.m2s")
    assert found.config == CHECKPOINT.config
    assert found.head.motion_fingerprint == CHECKPOINT.head.motion_fingerprint
    for name in ("weights", "normalisation", "curves"):
        wanted, read = getattr(CHECKPOINT, name), getattr(found, name)
        assert set(read) == set(wanted)
        for key, values in wanted.items():
            np.testing.assert_array_equal(read[key], values)
            assert read[key].shape == values.shape
    with h5py.File(path, "r") as file:
        assert file["weights/encoder.0.weight"].attrs["axes"] == "2,3"
        assert file["training/curves/loss"].attrs["axes"] == "step,value"
    with pytest.raises(ThunderError, match=r"wanted thunder.diffusion, found thunder.m2s; make it with"):
        read_checkpoint(path, "thunder.diffusion")


@pytest.mark.parametrize("part", ["weights", "normalisation", "head"])
def test_a_model_without_a_part_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "m2s.h5"
    write_checkpoint(path, "thunder.m2s", CHECKPOINT, Provenance(seed=0), force=False)
    with h5py.File(path, "r+") as file:
        del file[part]
    with pytest.raises(ThunderError, match=f"/{part} is missing"):
        read_checkpoint(path, "thunder.m2s")


def test_a_model_with_nan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m2s.h5"
    sick = dataclasses.replace(CHECKPOINT, weights={"w": np.array([1.0, np.nan])})
    write_checkpoint(path, "thunder.m2s", sick, Provenance(seed=0), force=False)
    with pytest.raises(ThunderError, match="/weights/w holds NaN or infinity"):
        read_checkpoint(path, "thunder.m2s")


def test_a_training_state_comes_back_and_replaces_the_last(tmp_path: Path) -> None:
    path = tmp_path / "state.h5"
    for step in (1, 2):
        write_training_state(path, {"a.b": np.full(3, step)}, {"step": step, "best": float("inf")})
    arrays, state = read_training_state(path)
    assert state == {"step": 2, "best": float("inf")}
    np.testing.assert_array_equal(arrays["a.b"], [2, 2, 2])
    with h5py.File(path, "r+") as file:
        del file["arrays"]
    with pytest.raises(ThunderError, match="/arrays is missing"):
        read_training_state(path)


ROWS = [
    MetricRow("jitter", "m/s³", "jitter-1", "", "", 2.0, float("nan"), float("nan"), ("a",), np.array([2.0])),
    MetricRow(
        "lve", "mm", "lve-max", "lips", "0123456789ab", 1.5, 1.0, 2.0, ("a", "b"), np.array([1.0, 2.0]), better="less"
    ),
]


def test_metrics_come_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.h5"
    write_metrics(path, ROWS[::-1], Provenance(seed=0), force=False)
    for found, wanted in zip(read_metrics(path), ROWS, strict=True):
        for field in dataclasses.fields(MetricRow):
            np.testing.assert_equal(getattr(found, field.name), getattr(wanted, field.name), err_msg=field.name)
    with h5py.File(path, "r") as file:
        assert dict(file["per_clip/lve/value"].attrs) == {"axes": "clip", "units": "mm"}
        assert file["summary/lve"].attrs["num_clips"] == 2


@pytest.mark.parametrize("part", ["summary", "per_clip", "per_clip/lve", "per_clip/lve/value"])
def test_incomplete_metrics_are_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "metrics.h5"
    write_metrics(path, ROWS, Provenance(seed=0), force=False)
    with h5py.File(path, "r+") as file:
        del file[part]
    with pytest.raises(ThunderError, match=r"incomplete or damaged|is missing"):
        read_metrics(path)


def test_a_model_of_sound_has_no_head_and_one_of_motion_must(tmp_path: Path) -> None:
    whole = CHECKPOINT
    headless = Checkpoint(whole.config, whole.weights, whole.normalisation, curves=whole.curves)
    write_checkpoint(tmp_path / "sound.h5", "thunder.recogniser", headless, Provenance(seed=0), force=False)
    assert read_checkpoint(tmp_path / "sound.h5", "thunder.recogniser").head is None
    write_checkpoint(tmp_path / "motion.h5", "thunder.m2s", headless, Provenance(seed=0), force=False)
    with pytest.raises(ThunderError, match="head"):
        read_checkpoint(tmp_path / "motion.h5", "thunder.m2s")
