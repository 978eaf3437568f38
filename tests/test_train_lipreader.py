"""`thunder train-lipreader`: what it writes, what it leaves out, its clocks, and its errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.artifacts.head_record import HeadRecord
from stages.heads.arkit import ARKIT_FEATURES
from stages.models.lip_reader import LipReader, LipReaderConfig, load_lip_reader
from stages.runtime.provenance import Provenance
from stages.training.lip_clips import FilmStudio, load_lip_clips, vary_film
from stages.training.transcribed_clips import load_transcribed_clips
from tests import shell
from tests.builders import small_clip, small_dataset, small_head

QUICK = ("--preset", "tiny", "--steps", "2", "--batch-size", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return small_dataset(tmp_path / "dataset.h5", num_frames=20).parent


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder train-lipreader`, line breaks of the terminal taken out."""
    return shell.run("train-lipreader", *arguments)


def write(path: str, *clips: Clip, head: HeadRecord | None = None) -> None:
    with write_clips(Path(path), "thunder.dataset", head or small_head(), Provenance(seed=0), force=True) as writer:
        for clip in clips:
            writer.add(clip)


def test_a_model_with_its_characters_curves_and_provenance() -> None:
    code, stdout, stderr = run(*QUICK, "--json", "--seed", "4")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["wrote"] == "lipreader.h5"
    assert {"val.loss", "val.cer", "val.cer_lips", "val.phone_accuracy_lips"} <= told.keys()
    checkpoint = read_checkpoint(Path("lipreader.h5"), "thunder.lipreader")
    assert checkpoint.config["characters"] == "ehlo"
    assert {"train.ctc", "train.attention", "val.cer_lips"} <= checkpoint.curves.keys()
    assert not any(name.startswith("to_phones") for name in checkpoint.weights)
    model = load_lip_reader(Path("lipreader.h5"))
    assert (model.config.dim, model.config.max_frames) == (32, 301)
    assert 0.05 < float(model.picture_mean) < 0.95
    assert float(model.mel_mean.abs().sum()) > 1
    with open_hdf5(Path("lipreader.h5")) as file:
        assert set(read_json_attribute(file, "inputs")) == {"dataset"}
    assert run(*QUICK, "--seed", "4", "-o", "again.h5")[0] == 0
    again = read_checkpoint(Path("again.h5"), "thunder.lipreader").weights
    assert all(np.array_equal(values, again[key]) for key, values in checkpoint.weights.items())


def test_a_reader_that_never_hears() -> None:
    Path("deaf.toml").write_text('streams = "picture"\ndecoder_share = 0.2\n', encoding="utf-8")
    code, stdout, stderr = run(*QUICK, "--config", "deaf.toml", "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["val.cer"] == told["val.cer_lips"]
    model = load_lip_reader(Path("lipreader.h5"))
    assert (model.config.streams, model.config.decoder_share) == ("picture", 0.2)
    assert not any(name.startswith(("ears", "heard", "fusion")) for name, _ in model.named_parameters())


def test_picture_and_sound_stand_at_their_times_at_any_fps() -> None:
    """A mouth that opens at 0.6 s, with a click there, at 30 fps: frame 15 of 25 fps."""
    clip = small_clip("a", num_frames=45, fps=30.0)
    motion = np.zeros_like(clip.motion)
    motion[18:, ARKIT_FEATURES.index("jawOpen")] = 1.0
    sound = np.zeros_like(clip.waveform)
    sound[9600:9632] = 20_000
    write("d.h5", replace(clip, motion=motion, waveform=sound))
    for form in ("light", "published"):
        config = LipReaderConfig(
            characters="ehlo", form=form, channels=2, dim=8, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
            fusion_dim=8,
        )  # fmt: skip
        with open_clips(Path("d.h5")) as file:
            spoken = load_transcribed_clips(file, "train", max_clip_s=12.0, max_characters=200)
            (seen,), dense = load_lip_clips(file, spoken.clips, LipReader(config))
            film = FilmStudio(file, torch.device("cpu"), 0.0).film(seen)
        assert dense == []
        assert seen.num_frames == 37  # the last at 1.44 s; motion ends at 44 / 30 s
        changes = (film[1:].float() - film[:-1].float()).abs().mean((1, 2))
        assert int(changes.argmax()) + 1 == 15
        per_frame = seen.sound.reshape(37, -1)
        assert int(per_frame.max(1).values.argmax()) == 15
        assert len(seen.phones) == 2 * 37


def test_a_film_is_kept_until_it_is_taken_anew() -> None:
    with open_clips(Path("dataset.h5")) as file:
        spoken = load_transcribed_clips(file, "train", max_clip_s=12.0, max_characters=200)
        config = LipReaderConfig(
            characters="ehlo", form="light", channels=2, dim=8, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
            fusion_dim=8,
        )  # fmt: skip
        clips, _ = load_lip_clips(file, spoken.clips[:1], LipReader(config))
        thrifty, lavish = (FilmStudio(file, torch.device("cpu"), chance) for chance in (0.0, 1.0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(thrifty.varied(clips, generator)[0], thrifty.varied(clips, generator)[0])
    film = lavish.varied(clips, generator)[0]
    assert not torch.equal(film, lavish.varied(clips, generator)[0])
    varied = vary_film(film, generator, 88)
    assert varied.shape == (20, 88, 88)
    assert varied.dtype == torch.uint8


def test_clips_that_were_left_out_are_named_and_phones_are_not_needed() -> None:
    write(
        "some.h5",
        small_clip("a", num_frames=20, phones=()),
        small_clip("b", transcript=""),
        small_clip("long", num_frames=60),
        small_clip("dense", num_frames=20, transcript="l" * 21),
        small_clip("v", split="val", transcript="hey"),
    )
    Path("short.toml").write_text("max_clip_s = 2.0\n", encoding="utf-8")
    code, _, stderr = run("some.h5", *QUICK, "--config", "short.toml")
    assert code == 0, stderr
    assert "left out 1 clips (no transcript): b" in stderr
    assert "left out 1 clips (longer than 2 s): long" in stderr
    assert "left out 1 clips (characters that no training transcript has): v" in stderr
    assert "more characters than CTC can fit" in stderr


def test_errors_say_what_and_leave_nothing() -> None:
    def refused(*arguments: str, says: str) -> None:
        code, _, stderr = run(*arguments, *QUICK)
        assert code == 1
        assert says in stderr
        assert stderr.count("error:") == 1
        assert not Path("lipreader.h5").exists()

    Path("deaf.toml").write_text("drop_sound = 0.7\ndrop_picture = 0.5\n")
    refused("--config", "deaf.toml", says="drop_picture wanted at most 1 - drop_sound")
    write("untold.h5", small_clip("a", transcript=""), small_clip("b", transcript="?"))
    refused("untold.h5", says="no clip of split 'train' can teach reading (no transcript: a, b)")
    head = small_head()
    lipless = replace(head, regions=head.regions | {"lips": np.zeros(0, "i4")})
    write("lipless.h5", small_clip("a"), head=lipless)
    refused("lipless.h5", says="region 'lips'")
    far = small_clip("far")
    write("far.h5", replace(far, motion=far.motion + 1e4))
    refused("far.h5", says="clip far: a frame shows no mouth")
    refused("dataset.h5", "--learning-rate", "1e30", says="in clip s")
    Path("lipreader.h5").write_text("mine", encoding="utf-8")
    code, _, stderr = run(*QUICK)
    assert code == 1
    assert "lipreader.h5: exists already; give --force" in stderr
