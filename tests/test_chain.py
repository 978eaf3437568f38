"""The whole chain on a tiny corpus, as a user would type it: each stage reads what the one before wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.metrics_file import read_metrics
from stages.audio.waveform import load_waveform
from stages.formats.live_link_face import read_live_link_face
from thunder_cli.app import app


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage has run, with the defaults for all names."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        thunder("synthesize", "corpus", "--clips", "12", "--subjects", "6", "--seed", "3", "--jobs", "1")
        thunder("preprocess", "corpus", "--jobs", "1")
        thunder("train-m2s", "--preset", "tiny", "--steps", "20")
        thunder("train-m2s", "--preset", "tiny", "--steps", "10", "--seed", "100", "-o", "judge.h5")
        thunder("train-recogniser", "--preset", "tiny", "--steps", "10")
        thunder("train-diffusion", "--m2s", "m2s.h5", "--preset", "tiny", "--steps", "20")
        thunder("sample", "--split", "test", "--n", "2", "--m2s", "m2s.h5", "--steps", "4")
        thunder("render", "--size", "64", "--takes", "0", *("--clip", first_clip(folder)))
        thunder("export", "--format", "arkit", "-o", "curves")
        thunder("export", "--format", "npy", "-o", "vertices", "--takes", "1")
        thunder("evaluate")
        thunder("train-vocoder", "--preset", "tiny", "--steps", "6")
        thunder("speak", "--film", "--size", "64", *("--clip", first_clip(folder)))
    return folder


def thunder(*arguments: str) -> str:
    """Runs a command and returns its standard output."""
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, f"thunder {' '.join(arguments)}\n{result.output}"
    return result.stdout


def first_clip(folder: Path) -> str:
    with open_clips(folder / "samples.h5") as samples:
        return next(iter(samples))


def test_speakers_of_the_test_split_are_heard_in_no_training(chain: Path) -> None:
    with open_clips(chain / "dataset.h5") as dataset:
        people = {split: {dataset.summary(i).subject for i in dataset.ids(split)} for split in ("train", "val", "test")}
    assert all(people.values())
    assert not people["test"] & (people["train"] | people["val"])


def test_training_keeps_its_curves_and_the_judge_was_heard(chain: Path) -> None:
    curves = read_checkpoint(chain / "diffusion.h5", "thunder.diffusion").curves
    assert {"train.loss", "train.lips", "train.audio_units", "val.loss"} <= curves.keys()


def test_takes_differ_and_are_scored(chain: Path) -> None:
    with open_clips(chain / "samples.h5", "thunder.samples") as samples:
        for clip_id in samples:
            clip = samples.read(clip_id)
            assert clip.motion.shape[0] == 2
            assert abs(clip.num_frames / clip.fps - clip.duration_s) < 1 / clip.fps
            assert not np.allclose(clip.motion[0], clip.motion[1])
            assert clip.seed is not None
            assert clip.seed.tolist() == [0, 1]
            assert clip.audio_consistency is not None
            assert (clip.audio_consistency > 0).all()


def test_exports_are_the_samples(chain: Path) -> None:
    clip_id = first_clip(chain)
    with open_clips(chain / "samples.h5") as samples:
        clip, num_vertices = samples.read(clip_id), len(samples.head.template)
    curves, fps = read_live_link_face(chain / "curves" / f"{clip_id}.1.csv")
    assert fps == pytest.approx(clip.fps)
    np.testing.assert_allclose(curves, clip.motion[1], atol=1e-6)
    assert np.load(chain / "vertices" / f"{clip_id}.1.npy").shape == (clip.num_frames, num_vertices, 3)


def test_film_and_spoken_sound_are_there(chain: Path) -> None:
    clip_id = first_clip(chain)
    with open_clips(chain / "samples.h5") as samples:
        duration = samples.read(clip_id).duration_s
    film = load_waveform(chain / "takes.mp4")  # its sound track
    assert len(film) / 16_000 == pytest.approx(duration, abs=0.1)
    assert len(load_waveform(chain / "spoken" / f"{clip_id}.0.wav")) / 16_000 == pytest.approx(duration, abs=0.1)


def test_every_metric_has_an_interval_around_it(chain: Path) -> None:
    rows = {row.name: row for row in read_metrics(chain / "metrics.h5")}
    assert {"lve", "mve", "fdd", "fdd-abs", "l-pcc", "l-ccc", "jitter"} <= rows.keys()
    assert {"m2s-mel", "m2s-units", "m2s-cer", "m2s-cer-truth", "m2s-cer-speech"} <= rows.keys()
    for row in rows.values():
        assert row.low <= row.value <= row.high
        assert row.unit
        assert row.formula


def test_inspect_shows_where_an_artifact_came_from(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(chain)
    description = json.loads(thunder("inspect", "samples.h5", "--json"))
    assert description["attributes"]["schema"] == "thunder.samples"
    assert set(description["attributes"]["inputs"]) == {"model", "dataset", "m2s", "supervised_by"}
