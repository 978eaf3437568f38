"""`thunder train-recogniser`: what it writes, what it leaves out, and its errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import Clip, write_clips
from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.models.recogniser import load_recogniser
from stages.runtime.provenance import Provenance
from tests import shell
from tests.builders import small_clip, small_dataset, small_head

QUICK = ("--preset", "tiny", "--steps", "3", "--batch-size", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return small_dataset(tmp_path / "dataset.h5").parent


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder train-recogniser`, line breaks of the terminal taken out."""
    return shell.run("train-recogniser", *arguments)


def write(path: str, *clips: Clip) -> None:
    with write_clips(Path(path), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for clip in clips:
            writer.add(clip)


def test_a_model_with_its_characters_curves_and_provenance() -> None:
    code, stdout, stderr = run(*QUICK, "--json", "--seed", "4")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["wrote"] == "recogniser.h5"
    assert {"val.loss", "val.cer", "val.phone_accuracy"} <= told.keys()
    checkpoint = read_checkpoint(Path("recogniser.h5"), "thunder.recogniser")
    assert checkpoint.head is None
    assert checkpoint.config["characters"] == "ehlo"
    assert {"train.ctc", "train.phones", "val.cer"} <= checkpoint.curves.keys()
    assert load_recogniser(Path("recogniser.h5")).config.dim == 32
    with open_hdf5(Path("recogniser.h5")) as file:
        assert set(read_json_attribute(file, "inputs")) == {"dataset"}
    assert run(*QUICK, "--seed", "4", "-o", "again.h5")[0] == 0
    again = read_checkpoint(Path("again.h5"), "thunder.recogniser").weights
    assert all(np.array_equal(values, again[key]) for key, values in checkpoint.weights.items())


def test_clips_that_were_left_out_are_named() -> None:
    write("some.h5", small_clip("a"), small_clip("b", transcript=""), small_clip("v", split="val", transcript=""))
    code, _, stderr = run("some.h5", *QUICK)
    assert code == 0, stderr
    assert "left out 2 clips (no transcript): b, v" in stderr


def test_no_phones_and_no_validation_clips_are_no_obstacle() -> None:
    write("some.h5", small_clip("a", phones=()), small_clip("b", phones=(), seed=1))
    code, stdout, stderr = run("some.h5", *QUICK)
    assert code == 0, stderr
    assert "val." not in stdout


def test_mixed_precision() -> None:
    Path("mixed.toml").write_text('precision = "bf16-mixed"\nhalf_weights = true\n', encoding="utf-8")
    code, _, stderr = run(*QUICK, "--config", "mixed.toml")
    assert code == 0, stderr
    assert load_recogniser(Path("recogniser.h5")).to_phones.weight.isfinite().all()


def test_errors_say_what_and_leave_nothing() -> None:
    def refused(*arguments: str, says: str) -> None:
        code, _, stderr = run(*arguments, *QUICK)
        assert code == 1
        assert says in stderr
        assert stderr.count("error:") == 1
        assert not Path("recogniser.h5").exists()

    refused("nowhere.h5", says="nowhere.h5: no such file; make it with `thunder preprocess`")
    write("untold.h5", small_clip("a", transcript=""), small_clip("b", transcript="?"))
    refused("untold.h5", says="untold.h5: no clip of split 'train' can teach reading (no transcript: a, b)")
    silent = small_clip("s")
    write("silent.h5", Clip(**{**vars(silent), "waveform": np.zeros_like(silent.waveform)}))
    refused("silent.h5", says="can teach reading (silent: s); preprocess a corpus with speech and transcripts")
    write("dense.h5", small_clip("d", transcript="more than sixty characters in a clip of one second and a bit longer"))
    refused("dense.h5", says="more characters than CTC can fit into their length, one in 20 ms: d")
    small_dataset(Path("tests_only.h5"), splits=("test",))
    refused("tests_only.h5", says="tests_only.h5: no clip in split 'train'")
    refused("dataset.h5", "--learning-rate", "1e30", says="in clip s")
    Path("recogniser.h5").write_text("mine", encoding="utf-8")
    code, _, stderr = run(*QUICK)
    assert code == 1
    assert "recogniser.h5: exists already; give --force" in stderr
