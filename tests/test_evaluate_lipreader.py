"""`thunder evaluate-lipreader`: who reads what, the floor, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stages import evaluate_lipreader as stage
from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import write_clips
from stages.artifacts.results_file import read_results
from stages.metrics.lip_readability import BEAM
from stages.models.lip_reader import LipReader, LipReaderConfig, checkpoint_of
from stages.runtime.provenance import Provenance, sha256_of_file
from tests.builders import small_clip, small_head
from tests.shell import run

COMMAND = ("evaluate-lipreader", "dataset.h5", "lipreader-0.h5", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spoken = (("abcd", "en-us"), ("bbbb", "en-gb"), ("dcba", "de"), ("Zzz!", "en"), ("", "en"))
    with write_clips(Path("dataset.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for k, (text, language) in enumerate(spoken):
            clip = small_clip(f"c{k}", num_frames=30, seed=k, transcript=text, language=language, split="test")
            writer.add(clip)
    for seed in (0, 1):
        write_reader(f"lipreader-{seed}.h5", seed)


def write_reader(path: str, seed: int, **options: Any) -> None:
    torch.manual_seed(seed)
    config = LipReaderConfig(
        characters="abcd", form="light", channels=2, dim=8, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
        fusion_dim=8, dropout=0.0, **options,
    )  # fmt: skip
    model = LipReader(config)
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), {})
    write_checkpoint(Path(path), "thunder.lipreader", checkpoint, Provenance(seed=seed), force=True)


def test_error_rates_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(model: LipReader, crops: Any, sound: Any, *, beam: int) -> str:
        assert beam == BEAM
        return "abcd" if crops is not None and sound is not None else "abc" if sound is not None else "bbcd"

    monkeypatch.setattr(stage, "read_lips", read)
    code, _, stderr = run(*COMMAND, "lipreader-1.h5")
    assert code == 0, stderr
    found = {(row.row, row.metric): row for row in read_results(Path("lipreader.json")).rows}
    # "abcd", "bbbb" and "dcba" are compared with what was read; "Zzz!" cannot be written, and nothing cannot be compared.
    expected = {"audio-visual": (0, 3, 4), "speech alone": (1, 3, 3), "lips alone": (1, 2, 4)}
    for name, edits in expected.items():
        assert found[name, "cer"].mean == pytest.approx(sum(edits) / 12)
        assert (found[name, "cer"].clips, found[name, "cer"].seeds) == (3, 2)
        assert found[name, "cer-de"].mean == pytest.approx(edits[2] / 4)
    # "dcba" is alone in its language; the two others have what is read in each other's lips.
    assert found["another's lips", "cer"].clips == 2
    assert found["another's lips", "cer-en"].mean == pytest.approx(3 / 8)
    assert ("another's lips", "cer-de") not in found
    assert found["lips alone − another's lips", "cer"].mean == pytest.approx(0)


def test_the_floor_is_read_in_lips_that_say_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = ("abcd", "ABCD.", "dddd")
    with write_clips(Path("dataset.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for k, text in enumerate(spoken):
            writer.add(small_clip(f"c{k}", num_frames=30, seed=k, transcript=text, language="en", split="test"))
    answers = iter(text for text in ("abcd", "abcd", "dddd") for _ in range(3))
    monkeypatch.setattr(stage, "read_lips", lambda *arguments, **options: next(answers))
    code, _, stderr = run(*COMMAND)
    assert code == 0, stderr
    found = {row.row: row for row in read_results(Path("lipreader.json")).rows}
    assert found["lips alone"].mean == 0
    # Of the first two the third, of the third the first: three letters of four are wrong; the second would do for the first.
    assert found["another's lips"].mean == pytest.approx(3 / 4)


def test_readers_of_one_name_in_two_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    films, film = [], stage.film_clip

    def counted(*arguments: Any) -> torch.Tensor:
        films.append(arguments)
        return film(*arguments)

    monkeypatch.setattr(stage, "film_clip", counted)
    for seed in (0, 1):
        Path(f"{seed}").mkdir()
        Path(f"lipreader-{seed}.h5").rename(f"{seed}/dataset.h5")
    code, _, stderr = run("evaluate-lipreader", "dataset.h5", "0/dataset.h5", "1/dataset.h5", "--device", "cpu")
    assert code == 0, stderr
    inputs = read_results(Path("lipreader.json")).inputs
    paths = {"dataset": "dataset.h5", "lipreader-0": "0/dataset.h5", "lipreader-1": "1/dataset.h5"}
    assert inputs == {name: sha256_of_file(Path(path)) for name, path in paths.items()}
    assert len(films) == 3  # each clip once, whoever reads it


def test_real_readers_read_real_crops() -> None:
    code, stdout, stderr = run(*COMMAND, "--clips", "2", "--json")
    assert code == 0, stderr
    rows = json.loads(stdout)["rows"]
    assert {row["row"] for row in rows} >= {"audio-visual", "speech alone", "lips alone"}
    assert all(row["mean"] >= 0 and row["clips"] <= 2 and row["seeds"] == 1 for row in rows if "−" not in row["row"])
    code, stdout, _ = run(*COMMAND, "--clips", "1", "--force")
    assert code == 0
    assert "lips alone" in stdout


def test_what_is_refused() -> None:
    for arguments, says in (
        ((*COMMAND, "lipreader-0.h5"), "lipreader-0.h5: seed 0 is that of lipreader-0.h5; give one of the two"),
        ((*COMMAND, "--split", "val"), "no clip in split 'val'"),
        ((*COMMAND, "-o", "dataset.h5"), "is an input of this command too"),
    ):
        code, _, stderr = run(*arguments)
        assert code == 1
        assert says in stderr, stderr
    write_reader("deaf.h5", 2, streams="picture")
    code, _, stderr = run("evaluate-lipreader", "dataset.h5", "deaf.h5", "--device", "cpu")
    assert code == 1
    assert "deaf.h5: reads picture alone" in stderr
    write_reader("short.h5", 3, max_frames=5)
    code, _, stderr = run("evaluate-lipreader", "dataset.h5", "short.h5", "--device", "cpu")
    assert code == 1
    assert "no clip of split 'test' can be read (clip c0: longer than the 0.2 s" in stderr
