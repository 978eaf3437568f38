"""Every bad input that was thought of, through the command line: one line on stderr, exit 1, nothing half-written.

What is merely unusual (an MP3 named .wav, 8 kHz, seven channels) works. Corpora with bad, missing or mismatched pieces
stand in test_preprocess.py, too.
"""

import errno
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from stages.artifacts.clips import open_clips
from stages.audio.ffmpeg_binary import find_ffmpeg
from stages.audio.waveform import write_wav
from stages.runtime import errors
from tests.builders import small_dataset, small_head, small_waveform
from tests.corpora.written import VAL, dump, vocaset_templates, write_arkit_corpus, write_vocaset
from tests.trained import go_to_copy, tiny_workspace
from thunder_cli.app import app

SAMPLE = ("sample", "--n", "2", "--steps", "2", "--device", "cpu")
TRAIN = ("--preset", "tiny", "--steps", "2", "--batch-size", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.h5, m2s.h5, diffusion.h5, speech.wav of 2 s and samples.h5 of the dataset's test clip."""
    folder = tiny_workspace(tmp_path_factory.mktemp("made"))
    write_wav(folder / "speech.wav", small_waveform(32_000))
    made = [*SAMPLE, "--split", "test", "--dataset", "dataset.h5", "--model", "diffusion.h5", "-o", "samples.h5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert CliRunner().invoke(app, made).exit_code == 0
    return folder


@pytest.fixture(autouse=True)
def folder(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_to_copy(workspace, tmp_path, monkeypatch)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def files() -> dict[str, bytes]:
    return {p.as_posix(): p.read_bytes() for p in sorted(Path().rglob("*")) if p.is_file()}


def refused(*arguments: str | Path) -> str:
    """The one line of a command that fails; every file is as it was, and there is no other."""
    before = files()
    code, out, err = run(*arguments)
    assert (code, out) == (1, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert files() == before
    return err


# Sounds


def empty(path: Path) -> None:
    path.touch()


def truncated(path: Path) -> None:
    path.write_bytes(Path("speech.wav").read_bytes()[:30_000])


def silent(path: Path) -> None:
    write_wav(path, np.zeros(32_000, "i2"))


def not_a_number(path: Path) -> None:
    sound = small_waveform(16_000) / 32_768.0
    sound[8_000] = np.nan
    soundfile.write(path, sound, 16_000, subtype="FLOAT")


def ten_milliseconds(path: Path) -> None:
    write_wav(path, small_waveform(160))


def text(path: Path) -> None:
    path.write_text("Dear diary, this is not a sound.\n" * 50)


def picture(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)


BAD_SOUNDS: list[tuple[Callable[[Path], None], str]] = [
    (empty, "the file is empty; record or copy it again"),
    (truncated, "cut short or damaged (0.94 s of the 2.00 s that its header promises); copy or record it again"),
    (silent, "silent from beginning to end; wanted speech, record it again"),
    (not_a_number, "NaN or infinity in the sound at 0.500 s; export the recording again"),
    (ten_milliseconds, "10 ms of sound, wanted at least 50 ms; give a longer recording"),
    (text, "not a sound file, or a damaged one; wanted any audio or video"),
    (picture, "no sound in it; wanted an audio file, or a film with a sound track"),
]


@pytest.mark.parametrize(("spoil", "reason"), BAD_SOUNDS, ids=[spoil.__name__ for spoil, _ in BAD_SOUNDS])
def test_a_bad_sound_alone_leaves_nothing_and_among_others_is_named(spoil: Callable[[Path], None], reason: str) -> None:
    spoil(Path("bad.wav"))
    message = refused(*SAMPLE, "bad.wav", "-o", "new.h5")
    assert "bad.wav" in message
    assert reason in message
    code, out, err = run(*SAMPLE, "bad.wav", "speech.wav", "-o", "new.h5", "--quiet")
    assert code == 1
    assert "new.h5" in out
    assert err.startswith("error: 1 of 2 inputs failed: bad.wav: ")
    assert err.count("\n") == 1
    with open_clips(Path("new.h5"), "thunder.samples") as file:
        assert file.ids() == ["speech"]


def sampled_seconds(sound: str) -> float:
    code, _, err = run(*SAMPLE, sound, "-o", "new.h5", "--quiet")
    assert (code, err) == (0, "")
    with open_clips(Path("new.h5"), "thunder.samples") as file:
        return file.read(file.ids()[0]).duration_s


def test_an_mp3_named_wav_works() -> None:
    made = subprocess.run(
        [find_ffmpeg(), "-loglevel", "error", "-i", "speech.wav", "-f", "mp3", "named.wav"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"this ffmpeg writes no MP3: {made.stderr.strip()}")
    assert Path("named.wav").read_bytes()[:4] != b"RIFF"
    assert sampled_seconds("named.wav") == pytest.approx(2.0, abs=0.1)


def test_eight_kilohertz_work() -> None:
    soundfile.write("low.wav", small_waveform(16_000), 8_000)
    assert sampled_seconds("low.wav") == pytest.approx(2.0, abs=0.01)


def test_seven_channels_work() -> None:
    soundfile.write("wide.wav", np.stack([small_waveform(16_000)] * 7, axis=1), 16_000)
    assert sampled_seconds("wide.wav") == pytest.approx(1.0, abs=0.01)


# Corpora


def test_a_folder_of_recordings_with_missing_or_mismatched_pieces() -> None:
    write_arkit_corpus(Path("corpus"), subjects=("ann", "bob"))
    Path("corpus/ann/c0.csv").unlink()
    Path("corpus/ann/c1.wav").unlink()
    write_wav(Path("corpus/bob/c0.wav"), small_waveform(32_000))
    code, _, err = run("preprocess", "corpus", "-o", "new.h5", "--quiet")
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("error: 3 of 4 recordings failed: ")
    assert "c0.wav has no c0.csv beside it" in err
    assert "c1.csv has no c1.wav (or other sound) beside it" in err
    assert "2.000 s of sound and 0.840 s of motion" in err
    with open_clips(Path("new.h5"), "thunder.dataset") as file:
        assert file.ids() == ["bob_c1"]


def test_a_vocaset_with_missing_or_mismatched_pieces() -> None:
    write_vocaset(Path("voca"))
    dump(Path("voca/templates.pkl"), {s: t for s, t in vocaset_templates().items() if s != VAL})
    code, _, err = run("preprocess", "voca", "-o", "new.h5", "--quiet")
    assert code == 1
    assert f"templates.pkl has no template of {VAL}" in err
    assert err.count("\n") == 1
    Path("voca/templates.pkl").unlink()
    assert "templates.pkl" in refused("preprocess", "voca", "-o", "none.h5")


def test_a_pickle_that_runs_code_runs_none() -> None:
    write_vocaset(Path("voca"))
    Path("voca/templates.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    message = refused("preprocess", "voca", "-o", "new.h5")
    assert "voca/templates.pkl: the pickle asks for os.system" in message
    assert not Path("ran").exists()


# What newcomers type


SPEECH = ("sample", "speech.wav", "-o", "new.h5")
MISTAKES: list[tuple[tuple[str, ...], str]] = [
    ((*SPEECH, "--emotion", "hapy"), "diffusion.h5: knows no emotion 'hapy'; it knows happy, neutral; did you mean happy?"),
    ((*SPEECH, "--sampler", "dimm"), "--sampler wanted 'ddim' or 'dpm-solver', found 'dimm'; did you mean ddim?"),
    ((*SPEECH, "--guidance", "nan"), "--guidance wanted a finite number, found nan"),
    ((*SPEECH, "--n", "0"), "--n wanted 1 to 10000 takes, found 0"),
    ((*SPEECH, "--device", "gpu"), "give --device auto or cpu, or see `thunder doctor`"),
    ((*SPEECH, "--model", "speech.wav"), "make it with `thunder train-diffusion` or `thunder train-animator`"),
    ((*SPEECH, "--model", "m2s.h5"), "wanted thunder.diffusion or thunder.animator, found thunder.m2s; make it with"),
    ((*SPEECH, "--keyframes", "none.txt"), "none.txt: no such file; wanted keyframes such as `2.5 happy 0.8`"),
    ((*SPEECH, "--config", "none.toml"), "none.toml: no such configuration file; check the path given to --config"),
    ((*SPEECH, "--config", "wrong.toml"), "wrong.toml: stepz is not known; known keys: steps, "),
    ((*SPEECH, "--config", "wrong.toml"), "; did you mean steps?"),
    ((*SPEECH, "--config", "text.toml"), "text.toml: steps wanted a whole number, found 'many'"),
    ((*SPEECH, "--split", "tset"), "no clip in split 'tset'; choose one of train, val, test, it holds "),
    ((*SPEECH, "--split", "tset"), "; did you mean test?"),
    (("sample", "dataset.h5", "-o", "new.h5"), "an artifact, wanted a sound file or a folder of them; to animate the clips"),
    (("sample", "dataset.h5", "-o", "new.h5"), "give `--split test --dataset dataset.h5`"),
    (("train-m2s", "dataset.h5", "--preset", "tinny", "-o", "new.h5"), "choose one of tiny, small, paper; did you mean tiny?"),
    (("train-m2s", "dataset.h5", "--steps", "0", "-o", "new.h5"), "--steps wanted at least 1, found 0"),
    (("train-m2s", "dataset.h5", "--batch-size", "0", "-o", "new.h5"), "--batch-size wanted at least 1, found 0"),
    (("train-m2s", "dataset.h5", "--learning-rate", "-1", "-o", "new.h5"), "--learning-rate wanted more than 0, found -1.0"),
    (("train-m2s", "dataset.h5", "--input", "mouth", "-o", "new.h5"), "found 'mouth'; did you mean mouth2s?"),
    (("train-m2s", "speech.wav", "-o", "new.h5"), "speech.wav: not a readable HDF5 file (wanted an artifact of this toolkit)"),
    (("evaluate", "samples.h5", "--metrics", "LVE", "-o", "new.h5"), "; did you mean lve?"),
    (("evaluate", "dataset.h5", "-o", "new.h5"), "wanted thunder.samples, found thunder.dataset; make it with `thunder"),
    (("export", "samples.h5", "--format", "npy", "--clip", "s3_clp"), "it holds 1 clip: s3_clip; did you mean s3_clip?"),
    (("preprocess", "nowhere"), "nowhere: no such folder, wanted a corpus; check the path"),  # whatever dataset.h5 is
    (("preprocess", "speech.wav"), "speech.wav: a file, wanted the folder of a corpus"),
    (("preprocess", ".", "--layout", "vocast", "-o", "new.h5"), "layout 'vocast' is not known; choose one of "),
    (("preprocess", ".", "--layout", "vocast", "-o", "new.h5"), "; did you mean vocaset?"),
    (("synthesize", "new", "--hours", "0"), "--hours wanted more than 0 and less than 10000, found 0"),
    (("synthesize", "new", "--clips", "1", "--engine", "espeek"), "found espeek; did you mean espeak?"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), MISTAKES, ids=[f"{a[0]} {says[:40]}" for a, says in MISTAKES])
def test_a_mistake_is_answered_by_what_to_do(arguments: tuple[str, ...], says: str) -> None:
    Path("wrong.toml").write_text("stepz = 3\n")
    Path("text.toml").write_text("steps = 'many'\n")
    assert says in refused(*arguments)


MISTYPED: list[tuple[tuple[str, ...], str]] = [
    (("smaple", "speech.wav"), "no such command 'smaple'. Did you mean 'sample'? see `thunder --help`"),
    (("--verion",), "no such option --verion; did you mean --version? see `thunder --help`"),
    (("sample",), "name a sound file or folder, or give --split; see `thunder sample --help`"),
    (("sample", "speech.wav", "--emotoin", "happy"), "no such option --emotoin; did you mean --emotion? see `thunder sample"),
    (("sample", "speech.wav", "--n", "five"), "--n wanted a whole number, found 'five'; see `thunder sample --help`"),
    (("sample", "speech.wav", "--seed", "x"), "--seed wanted a whole number, found 'x'"),
    (("sample", "speech.wav", "--seed", "-1"), "--seed wanted 0 to 2^62, found -1"),
    (("sample", "speech.wav", "--clips", "0", "--split", "test"), "--clips wanted at least 1, found '0'"),
    (("export", "samples.h5", "--format", "gtlf"), "--format wanted one of arkit, gltf, "),
    (("export", "samples.h5", "--format", "gtlf"), "found 'gtlf'; did you mean gltf? see `thunder export --help`"),
    (("export", "samples.h5"), "missing option '--format'. Choose from: arkit, gltf, "),
    (("train-animator", "dataset.h5"), "animator wanted one of faceformer, "),
    (("inspect",), "missing argument 'path'; see `thunder inspect --help`"),
    (("inspect", "samples.h5", "dataset.h5"), "got unexpected extra argument(s) (dataset.h5); see `thunder inspect"),
    (("evaluate", "--metrics", ""), "--metrics: wanted names separated by commas, such as lve,fdd; see `thunder evaluate"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), MISTYPED, ids=[" ".join(a) for a, _ in MISTYPED])
def test_a_mistake_of_usage_is_one_line_too_and_exits_2(arguments: tuple[str, ...], says: str) -> None:
    before = files()
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err
    assert files() == before


# Artifacts that do not belong together


def test_a_dataset_of_another_head_than_the_model() -> None:
    head = small_head()
    small_dataset(Path("other.h5"), head=replace(head, faces=head.faces[:-2], name="another head"), num_frames=60)
    message = refused("train-diffusion", "other.h5", *TRAIN, "--m2s", "m2s.h5", "-o", "new.h5")
    assert "m2s.h5: trained on head small test head" in message
    assert "found motion of head another head" in message
    assert "thunder train-m2s" in message
    assert "vertices do not correspond" in refused("evaluate", "samples.h5", "--reference", "other.h5", "-o", "new.h5")
    message = refused("render", "samples.h5", "--reference", "other.h5", "-o", "new.png")
    assert "other.h5: holds motion of head another head" in message
    message = refused("speak", "other.h5", "--m2s", "m2s.h5", "-o", "spoken")
    assert "m2s.h5: trained on head small test head" in message


WRITERS: dict[str, tuple[str, ...]] = {
    "train-m2s": (*TRAIN, "-o", "new.h5"),
    "train-vocoder": (*TRAIN, "--m2s", "m2s.h5", "-o", "new.h5"),
    "train-diffusion": (*TRAIN, "-o", "new.h5"),
    "sample": ("speech.wav", *SAMPLE[1:], "-o", "new.h5"),
    "render": ("samples.h5", "--size", "32", "--device", "cpu", "-o", "new.png"),
    "evaluate": ("samples.h5", "-o", "new.h5"),
    "speak": ("samples.h5", "--m2s", "m2s.h5", "-o", "new"),
    "export": ("samples.h5", "--format", "arkit", "-o", "new"),
}
OUTPUTS = {"render": "new.png", "speak": "new/s3_clip.0.wav", "export": "new/s3_clip.0.csv"}


@pytest.mark.parametrize("command", WRITERS)
def test_an_output_that_exists_is_kept(command: str) -> None:
    output = Path(OUTPUTS.get(command, "new.h5"))
    output.parent.mkdir(exist_ok=True)
    output.write_bytes(b"years of work")
    message = refused(command, *WRITERS[command])
    assert f"{output}" in message
    assert "exists already; give --force to replace it" in message


@pytest.mark.parametrize("command", ["train-m2s", "train-vocoder", "train-diffusion", "sample", "evaluate"])
@pytest.mark.parametrize("given", [b"", b"RIFF not an artifact", None])
def test_an_artifact_that_is_none_is_named(command: str, given: bytes | None) -> None:
    path = Path("samples.h5" if command == "evaluate" else "diffusion.h5" if command == "sample" else "dataset.h5")
    path.write_bytes(path.read_bytes()[:-2_000] if given is None else given)
    assert refused(command, *WRITERS[command]).startswith(f"error: {path}: ")


@pytest.mark.parametrize("command", ["sample", "train-m2s", "train-vocoder", "train-diffusion"])
def test_an_input_is_no_output(command: str) -> None:
    victim = "diffusion.h5" if command == "sample" else "dataset.h5"
    arguments = [victim if a == "new.h5" else a for a in WRITERS[command]]
    assert f"{victim}: is an input of this command too" in refused(command, *arguments, "--force")


# The system


CORPUS_WRITERS = {
    "synthesize": ("new", "--clips", "1", "--subjects", "1", "--jobs", "1"),
    "preprocess": ("corpus", "-o", "new.h5"),
}


@pytest.mark.parametrize("command", [*WRITERS, *CORPUS_WRITERS])
def test_a_full_disk_leaves_nothing(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename that ends every file is where a disk quota or a network folder may still refuse."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if command == "preprocess":
        write_arkit_corpus(Path("corpus"), subjects=("ann",), clips=1)
    monkeypatch.setattr(Path, "replace", full)
    message = refused(command, *(WRITERS | CORPUS_WRITERS)[command])
    assert ": the disk is full; nothing was left behind, free some space or choose another --output" in message
    assert "new" in message


def test_a_folder_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode, **_: mode != os.W_OK)
    assert "no permission to write here; choose another --output" in refused(*SAMPLE, "speech.wav", "-o", "new.h5")


def test_memory_that_runs_out_says_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for error in (torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError()):

        def exhausted(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("stages.sample.sample_long_motion", exhausted)
        message = refused(*SAMPLE, "speech.wav", "-o", "new.h5")
        assert "out of memory; lower --batch-size in training or --n in sampling" in message
    monkeypatch.setattr("stages.sample.sample_long_motion", lambda *_, **__: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):  # a fault of ours keeps its traceback
        run(*SAMPLE, "speech.wav", "-o", "new.h5")


def test_a_wrong_path_comes_before_a_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("diffusion.h5").unlink()

    def no_asset(name: str) -> Path:
        raise errors.ThunderError(f"shipped file {name} not found")

    monkeypatch.setattr("stages.sample.asset_path", no_asset)
    assert "nowhere.wav: no such file" in refused(*SAMPLE, "nowhere.wav", "-o", "new.h5")
    assert "shipped file diffusion.h5 not found" in refused(*SAMPLE, "speech.wav", "-o", "new.h5")


def test_the_version_is_told() -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("thunder ")
