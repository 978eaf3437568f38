"""A lip reader beside `train-diffusion` and `train-animator`: what it changes, what is written, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import write_clips
from stages.artifacts.files import inputs_of
from stages.models.lip_reader import load_lip_reader
from stages.runtime.provenance import Provenance, sha256_of_file
from stages.train_lipreader import TrainLipreaderConfig, train_lipreader
from stages.train_m2s import TrainM2SConfig, train_m2s
from tests.builders import small_clip, small_dataset, small_head
from tests.shell import run
from tests.trained import go_to_copy

QUICK = ("--preset", "tiny", "--steps", "3", "--batch-size", "2", "--device", "cpu", "--force")
DIFFUSION = ("train-diffusion", "dataset.h5", *QUICK)
READ = ("--lipreader", "lipreader.h5", "--config", "all.toml")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.h5, lipreader.h5 and m2s.h5 of a few steps."""
    folder = tmp_path_factory.mktemp("reading")
    small_dataset(folder / "dataset.h5", num_frames=50)
    options = {"steps": 2, "batch_size": 2}
    train_lipreader(
        folder / "dataset.h5",
        folder / "lipreader.h5",
        TrainLipreaderConfig.resolve(preset="tiny", options=options),
        device="cpu",
    )
    train_m2s(
        folder / "dataset.h5", folder / "m2s.h5", TrainM2SConfig.resolve(preset="tiny", options=options), device="cpu"
    )
    # A blur counts too, and a window holds a clip, so that every step of a short training reads.
    (folder / "all.toml").write_text(
        'm2s_schedule = "constant"\ndrop_speech = 0.0\nwindow = 60\nlipreader_crops = 60\n'
    )
    return folder


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_copy(made, tmp_path, monkeypatch)


def weights(path: str) -> dict[str, np.ndarray]:
    return read_checkpoint(Path(path), "thunder.diffusion").weights


def differ(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    assert one.keys() == other.keys()
    return any(not np.array_equal(values, other[name]) for name, values in one.items())


def test_a_reader_alone_and_beside_a_listener() -> None:
    before = sha256_of_file(Path("lipreader.h5"))
    assert run(*DIFFUSION, "--config", "all.toml", "-o", "plain.h5")[0] == 0
    code, stdout, stderr = run(*DIFFUSION, *READ, "-o", "read.h5", "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert {"val.lips_ctc", "val.lips_attention"} < told.keys()
    assert "val.audio_mel" not in told
    assert differ(weights("read.h5"), weights("plain.h5"))
    assert inputs_of(Path("read.h5"), "thunder.diffusion")["lipreader"] == before
    curves = read_checkpoint(Path("read.h5"), "thunder.diffusion").curves
    assert np.isfinite(curves["train.lips_ctc"]).all()
    code, stdout, stderr = run(*DIFFUSION, *READ, "--m2s", "m2s.h5", "-o", "both.h5", "--json")
    assert code == 0, stderr
    assert {"val.lips_ctc", "val.audio_mel"} < json.loads(stdout).keys()
    assert set(inputs_of(Path("both.h5"), "thunder.diffusion")) == {"dataset", "m2s", "lipreader"}
    assert run(*DIFFUSION, *READ, "--lipreader-input", "video", "-o", "video.h5")[0] == 0
    assert differ(weights("read.h5"), weights("video.h5"))
    assert not Path("read.lipreader.h5").exists()
    assert sha256_of_file(Path("lipreader.h5")) == before
    # Samples remember who read: it may not judge them.
    assert run("sample", "--split", "test", "--model", "read.h5", "--n", "1", "--device", "cpu")[0] == 0
    assert inputs_of(Path("samples.h5"), "thunder.samples")["supervised_by_lipreader"] == before


def test_a_reader_that_learns_along_is_written_beside() -> None:
    code, _, stderr = run(*DIFFUSION, *READ, "--tune-expert", "-o", "tuned.h5")
    assert code == 0, stderr
    curves = read_checkpoint(Path("tuned.h5"), "thunder.diffusion").curves
    assert {"train.true_lips_ctc", "train.true_lips_attention"} < curves.keys()
    own, prior = (read_checkpoint(Path(p), "thunder.lipreader") for p in ("tuned.lipreader.h5", "lipreader.h5"))
    assert differ(own.weights, prior.weights)
    assert own.config == prior.config
    assert all(np.array_equal(values, prior.normalisation[name]) for name, values in own.normalisation.items())
    load_lip_reader(Path("tuned.lipreader.h5"))
    assert inputs_of(Path("tuned.lipreader.h5"), "thunder.lipreader")["lipreader"] == sha256_of_file(
        Path("lipreader.h5")
    )
    assert run(*DIFFUSION, *READ, "--tune-expert", "--forget-prior", "--seed", "3", "-o", "anew.h5")[0] == 0
    anew = read_checkpoint(Path("anew.lipreader.h5"), "thunder.lipreader").weights
    name = "to_labels.weight"
    near, far = (np.abs(found[name] - prior.weights[name]).mean() for found in (own.weights, anew))
    assert near < 0.5 * far
    code, _, stderr = run(*[a for a in DIFFUSION if a != "--force"], *READ, "--tune-expert", "-o", "new.h5")
    assert code == 0, stderr
    Path("new.h5").unlink()
    code, _, stderr = run(*[a for a in DIFFUSION if a != "--force"], *READ, "--tune-expert", "-o", "new.h5")
    assert code == 1
    assert "new.lipreader.h5: exists already" in stderr


@pytest.mark.parametrize("architecture", ["faceformer", "codetalker"])
def test_deterministic_animators_are_heard_and_read(architecture: str) -> None:
    train = ("train-animator", architecture, "dataset.h5", *QUICK, "--config", "long.toml")
    coded = ("--autoencoder-steps", "2") if architecture == "codetalker" else ()
    Path("long.toml").write_text("window = 60\nlipreader_crops = 60\n")
    guides = {
        "plain": (),
        "lips": ("--weight-lips", "1"),
        "heard": ("--m2s", "m2s.h5"),
        "both": ("--m2s", "m2s.h5", "--lipreader", "lipreader.h5", "--tune-expert"),
    }
    found = {}
    for name, options in guides.items():
        code, stdout, stderr = run(*train, *coded, *options, "-o", f"{name}.h5", "--json")
        assert code == 0, stderr
        found[name] = read_checkpoint(Path(f"{name}.h5"), "thunder.animator").weights
        terms = {term for term in json.loads(stdout) if term.startswith(("val.lips", "val.audio"))}
        expected = {"lips": {"val.lips"}, "heard": {"val.audio_mel", "val.audio_units"}}
        expected["both"] = expected["heard"] | {"val.lips_ctc", "val.lips_attention"}
        assert terms == expected.get(name, set())
        assert name == "plain" or differ(found[name], found["plain"])
    prior, tuned = (read_checkpoint(Path(p), "thunder.lipreader") for p in ("lipreader.h5", "both.lipreader.h5"))
    assert differ(prior.weights, tuned.weights)
    assert set(inputs_of(Path("both.h5"), "thunder.animator")) == {"dataset", "m2s", "lipreader"}


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_other_frame_rates(fps: float) -> None:
    small_dataset(Path("fast.h5"), num_frames=50, fps=fps)
    code, stdout, stderr = run("train-diffusion", "fast.h5", *QUICK, *READ, "--json")
    assert code == 0, stderr
    assert "val.lips_ctc" in json.loads(stdout)


def test_what_cannot_be_read_is_said() -> None:
    with write_clips(Path("some.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for k, transcript in enumerate(("hello", "", "hello 世界")):
            writer.add(small_clip(f"c{k}", num_frames=50, transcript=transcript))
    code, _, stderr = run("train-diffusion", "some.h5", *QUICK, *READ)
    assert code == 0, stderr
    assert "left out 1 clips (not read from its lips: no transcript): c1" in stderr
    assert "characters that the lip reader cannot write): c2" in stderr
    with write_clips(Path("none.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        writer.add(small_clip("c0", num_frames=50, transcript=""))
    code, _, stderr = run("train-diffusion", "none.h5", *QUICK, *READ, "-o", "none-out.h5")
    assert code == 1
    assert "none.h5: no training clip can be read from its lips (no transcript: c0); wanted transcripts" in stderr


def test_options_that_want_each_other() -> None:
    code, _, stderr = run(*DIFFUSION, *READ, "--forget-prior")
    assert code == 1
    assert "--forget-prior wants a lip reader that learns anew; give --tune-expert too" in stderr
    for alone in (("--hubert", "x"), ("--tune-expert",), ("--lipreader-input", "video"), ("--forget-prior",)):
        assert run(*DIFFUSION, *alone)[0] == 2
    Path("tune.toml").write_text("tune_expert = true\n")
    code, _, stderr = run(*DIFFUSION, "--config", "tune.toml")
    assert code == 1
    assert "--tune-expert wants a lip reader to tune; give --lipreader" in stderr
    code, _, stderr = run(*DIFFUSION, "--lipreader", "m2s.h5")
    assert code == 1
    assert "m2s.h5: wanted thunder.lipreader, found thunder.m2s" in stderr
    code, _, stderr = run(*DIFFUSION, *READ, "--lipreader-input", "smell")
    assert code == 1
    assert "'smell'" in stderr
    code, _, stderr = run("train-diffusion", "dataset.h5", *QUICK, "--lipreader", "lipreader.h5", "-o", "lipreader.h5")
    assert "lipreader.h5: is an input of this command too" in stderr
