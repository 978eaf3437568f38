"""Samples that no model made: the true motion of a dataset and noise, for the tests of what measures them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_file import read_metrics
from stages.runtime import assets
from stages.runtime.provenance import Provenance
from tests.builders import small_dataset
from tests.shell import run

NUM_TAKES = 3


def sample_from(
    dataset_path: Path,
    path: Path,
    change: Callable[[Clip], Clip | None],
    *,
    head: HeadRecord | None = None,
) -> Path:
    """Writes a `thunder.samples` with what `change` makes of every clip of a dataset."""
    with open_clips(dataset_path, "thunder.dataset") as dataset:
        head = head or dataset.head
        with write_clips(path, "thunder.samples", head, Provenance(seed=0, command="test"), force=True) as writer:
            for clip_id in dataset:
                clip = change(dataset.read(clip_id))
                if clip is not None:
                    writer.add(clip)
    return path


def takes_of(clip: Clip, *, noise: float = 0.05, num_takes: int = NUM_TAKES) -> Clip:
    """N takes: the true motion plus noise on every curve."""
    rng = np.random.default_rng(len(clip.id) + int(1000 * clip.motion[0, 0]))
    motion = clip.motion + noise * rng.normal(size=(num_takes, *clip.motion.shape))
    return replace(clip, motion=motion.astype("f4"), seed=np.arange(num_takes))


def go_to_samples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Works in a folder with dataset.h5 (4 clips) and samples.h5 (3 takes of each), and no shipped judge; returns it."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(assets, "_FOLDERS", (folder / "shipped",))
    small_dataset(Path("dataset.h5"))
    sample_from(Path("dataset.h5"), Path("samples.h5"), takes_of)
    return folder


def evaluate_here(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder evaluate`, line breaks of the terminal taken out."""
    return run("evaluate", *arguments)


def values(path: str = "metrics.h5") -> dict[str, float]:
    """Metric -> figure of a file that `evaluate` wrote."""
    return {row.name: row.value for row in read_metrics(Path(path))}
