"""`thunder evaluate-m2s`: rows of floors, models and ceilings, means over seeds, pictures, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.results_file import read_results
from stages.metrics.visemes import PHONES
from stages.models import recogniser, vocoder
from stages.models.mesh_to_speech import load_mesh_to_speech
from stages.runtime.provenance import Provenance, sha256_of_file
from stages.train_m2s import TrainM2SConfig, train_m2s
from tests.builders import small_dataset, small_head
from thunder_cli.app import app

NAMES = ("mouth2s-0", "mouth2s-1", "exp2s-0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.h5 with three test speakers, and models of two inputs after four steps."""
    folder = tmp_path_factory.mktemp("trained")
    splits = ("train", "train", "val", "test", "test", "test")
    small_dataset(folder / "dataset.h5", splits=splits, num_frames=60)
    for name in NAMES:
        kind, seed = name.split("-")
        options = {"steps": 4, "batch_size": 2, "input": kind}
        config = TrainM2SConfig.resolve(preset="tiny", options=options)
        train_m2s(folder / "dataset.h5", folder / f"{name}.h5", config, seed=int(seed), device="cpu")
    return folder


def evaluate(folder: Path, output: Path, *arguments: str, models: tuple[str, ...] = NAMES) -> Any:
    paths = [str(folder / f"{name}.h5") for name in models]
    fixed = ["--device", "cpu", "--sounds", "2", "-o", str(output)]
    return CliRunner().invoke(app, ["evaluate-m2s", str(folder / "dataset.h5"), *paths, *fixed, *arguments])


def test_rows_are_over_seeds_and_clips_and_the_file_says_what_made_it(trained: Path, tmp_path: Path) -> None:
    namesake = shutil.copy(trained / "exp2s-0.h5", tmp_path / "mouth2s-0.h5")
    result = evaluate(trained, tmp_path / "m2s.json", models=(*NAMES[:2], str(namesake.with_suffix(""))))
    assert result.exit_code == 0, result.output
    rows = {(row.row, row.metric): row for row in read_results(tmp_path / "m2s.json").rows}
    assert (rows["mouth2s", "units"].seeds, rows["exp2s", "units"].seeds) == (2, 1)
    assert rows["mouth2s", "units"].clips == 3
    assert rows["mouth2s", "stoi"].clips == 2
    assert rows["mouth2s", "units"].deviation >= 0
    assert np.isnan(rows["exp2s", "units"].deviation)
    # Two seeds, two codebooks of units: floors that name units are measured by each, those that draw a mel once.
    assert (rows["ridge", "units"].seeds, rows["ridge", "mel"].seeds) == (2, 1)
    assert rows["mean mel", "convergence"].mean == pytest.approx(1, abs=0.1)
    assert rows["mean mel", "mel-db"].unit == "dB"
    assert rows["true mel, Griffin-Lim", "stoi"].mean > 0.8
    assert rows["true mel, Griffin-Lim", "stoi"].mean > rows["mouth2s", "stoi"].mean
    difference = rows["mouth2s − exp2s", "mel"].mean
    assert difference == pytest.approx(rows["mouth2s", "mel"].mean - rows["exp2s", "mel"].mean, abs=1e-5)
    assert ("mouth2s, voice withheld", "units") not in rows
    assert ("mouth2s, another's motion", "units") in rows
    assert not any(metric == "cer" for _, metric in rows)
    content = json.loads((tmp_path / "m2s.json").read_text())
    assert content["inputs"] == {name: sha256_of_file(trained / f"{name}.h5") for name in ("dataset", *NAMES)}
    assert {"command", "date", "machine"} <= content.keys()
    assert "mouth2s" in result.stdout


def test_with_a_vocoder_and_a_recogniser_sounds_are_read_and_pictures_drawn(trained: Path, tmp_path: Path) -> None:
    model, _ = load_mesh_to_speech(trained / "mouth2s-1.h5")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"unit_dim": 4, "channels": 8, "upsampling": (10, 4, 4), "kernels": (3,), "dilations": (1,)}
    speaker = vocoder.Vocoder(
        vocoder.VocoderConfig(
            num_units=model.config.num_units,
            voice_dim=model.config.voice_dim,
            ears=vocoder.ears_fingerprint(model),
            **sizes,
        )
    )
    reader = recogniser.Recogniser(
        recogniser.RecogniserConfig(characters=" helo", phones=PHONES, dim=8, num_layers=1, num_heads=1, kernel=3)
    )
    provenance = Provenance(seed=0, command="test")
    for name, module, network in (("vocoder", vocoder, speaker), ("recogniser", recogniser, reader)):
        checkpoint = module.checkpoint_of(network, dict(network.named_parameters()), {})
        write_checkpoint(tmp_path / f"{name}.h5", f"thunder.{name}", checkpoint, provenance, force=True)
    pictures = ["--confusions", str(tmp_path / "confusions.png"), "--spectrograms", "2"]
    judges = ["--vocoder", str(tmp_path / "vocoder.h5"), "--recogniser", str(tmp_path / "recogniser.h5")]
    result = evaluate(trained, tmp_path / "m2s.json", *pictures, *judges)
    assert result.exit_code == 0, result.output
    rows = {(row.row, row.metric): row for row in read_results(tmp_path / "m2s.json").rows}
    assert rows["mouth2s, vocoder", "stoi"].clips == 2
    assert rows["mouth2s, vocoder", "cer"].clips == 2
    assert rows["true speech", "cer"].clips == 3
    assert rows["exp2s", "cer"].mean > 0
    assert 0 <= rows["true speech", "phones"].mean <= 1
    for name in ("confusions.png", "m2s_spectrograms.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    result = evaluate(trained, tmp_path / "again.json", *judges, models=("mouth2s-0", "exp2s-0"))
    assert result.exit_code == 1
    assert "speaks the units and voices of none of" in result.stderr


def test_models_of_one_input_differ_by_their_seed_alone(trained: Path, tmp_path: Path) -> None:
    result = evaluate(trained, tmp_path / "m2s.json", models=("mouth2s-0", "mouth2s-0"))
    assert result.exit_code == 1
    assert "seed 0 are those of" in result.stderr
    config = TrainM2SConfig.resolve(preset="tiny", options={"steps": 2, "batch_size": 2, "dim": 16})
    train_m2s(trained / "dataset.h5", trained / "smaller.h5", config, seed=5, device="cpu")
    result = evaluate(trained, tmp_path / "m2s.json", models=("mouth2s-0", "smaller"))
    assert result.exit_code == 1
    assert "in dim, steps; wanted models that differ by their seed alone" in result.stderr
    assert not (tmp_path / "m2s.json").exists()


def test_another_head_and_a_dataset_without_test_speakers_are_refused(trained: Path, tmp_path: Path) -> None:
    other = replace(small_head(), faces=small_head().faces[:-1], name="other head")
    small_dataset(tmp_path / "dataset.h5", head=other)
    small_dataset(tmp_path / "untested.h5", splits=("train", "val"))
    model = str(trained / "mouth2s-0.h5")
    for dataset, reason in (
        ("dataset.h5", "trained on head small test head"),
        ("untested.h5", "no clip in split 'test'"),
    ):
        arguments = ["evaluate-m2s", str(tmp_path / dataset), model, "-o", str(tmp_path / "m2s.json")]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 1
        assert reason in result.stderr


def test_pictures_without_matplotlib_are_refused_before_any_work(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = evaluate(trained, tmp_path / "m2s.json", "--spectrograms", "1")
    assert result.exit_code == 1
    assert "pip install matplotlib" in result.stderr
