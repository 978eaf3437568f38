"""Options that would change nothing are refused, in one line, before anything is read; settings in a file are not."""

from pathlib import Path

import pytest

from tests.builders import small_dataset
from tests.corpora.written import write_arkit_corpus
from tests.shell import run

ANIMATOR = ("train-animator", "faceformer", "none.h5")
M2S, READER = ("--m2s", "m2s.h5"), ("--lipreader", "lipreader.h5")
WEIGHS_NOTHING = "is 0, so that it would change nothing; give it a weight, or leave it out"

IDLE: list[tuple[tuple[str, ...], str]] = [
    (("train-diffusion", "--weight-m2s", "1"), "--weight-m2s: needs --m2s MODEL"),
    (("train-diffusion", "--weight-m2s", "0"), "--weight-m2s: needs --m2s MODEL"),
    (("train-diffusion", "--hubert", "folder"), "--hubert: needs --m2s MODEL"),
    (("train-diffusion", "--weight-lipreader", "1"), "--weight-lipreader: needs --lipreader MODEL"),
    (("train-diffusion", "--lipreader-input", "video"), "--lipreader-input: needs --lipreader MODEL"),
    (("train-diffusion", "--tune-expert"), "--tune-expert: needs --lipreader MODEL"),
    (("train-diffusion", *M2S, "--forget-prior"), "--forget-prior: needs --lipreader MODEL"),
    (("train-diffusion", "--m2s-schedule", "late"), "--m2s-schedule: needs --m2s MODEL or --lipreader MODEL"),
    (("train-diffusion", *M2S, "--weight-m2s", "0"), f"--m2s: weight_m2s {WEIGHS_NOTHING}"),
    (
        ("train-diffusion", *READER, "--tune-expert", "--weight-lipreader", "0"),
        f"--tune-expert: weight_lipreader {WEIGHS_NOTHING}",
    ),
    (
        ("train-diffusion", *M2S, "--regression", "--m2s-schedule", "late"),
        "--m2s-schedule: what regresses has one timestep; leave it out",
    ),
    (("train-diffusion", "--speech-encoder-layer", "2"), "--speech-encoder-layer: needs --speech-encoder FOLDER"),
    (("train-animator", "faceformer", "--weight-m2s", "1"), "--weight-m2s: needs --m2s MODEL"),
    (("train-animator", "faceformer", "--tune-expert"), "--tune-expert: needs --lipreader MODEL"),
    (("train-animator", "faceformer", "--autoencoder-steps", "3"), "--autoencoder-steps: only codetalker has an autoencoder"),
    (("train-animator", "faceformer", "--autoencoder-from", "x.h5"), "--autoencoder-from: only codetalker has an autoencoder"),
    (
        ("train-animator", "codetalker", "--autoencoder-from", "x.h5", "--autoencoder-steps", "3"),
        "--autoencoder-steps: --autoencoder-from takes one that is trained",
    ),
    (
        ("train-animator", "codetalker", "--teacher-forcing"),
        "--teacher-forcing: codetalker is always fed the true frames; leave it out",
    ),
    (("train-m2s", "--hubert-layer", "3"), "--hubert-layer: needs --hubert FOLDER"),
    (
        ("import", "auto-avsr", "x.pth", "--vocabulary", "v.model", "--dataset", "dataset.h5"),
        "--dataset: auto-avsr animates no head; leave it out",
    ),
    (("import", "faceformer", "x.pth", "--units", "u.txt"), "--units: only auto-avsr writes word pieces"),
    (("sample", "speech.wav", "--dataset", "dataset.h5"), "--dataset: needs --split NAME"),
    (("sample", "speech.wav", "--hubert", "folder"), "--hubert: needs --m2s MODEL"),
    (("sample", "-", "--dataset", "dataset.h5"), "--dataset: needs the whole speech; name a file instead of -"),
    (("speak", "--size", "100"), "--size: needs --film"),
    (("inspect", "dataset.h5", "--report", "x.html", "--depth", "3"), "--depth: a page lists no groups; leave it out"),
    (
        ("inspect", "dataset.h5", "--report", "x.html", "--no-pictures"),
        "--no-pictures: a page has its pictures always; leave it out",
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("arguments", "says"), IDLE, ids=[" ".join(arguments) for arguments, _ in IDLE])
def test_an_option_that_another_makes_void_is_refused(arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {says}; see `thunder {arguments[0]} --help`")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", [("train-diffusion",), ("train-animator", "faceformer")])
def test_a_configuration_that_several_trainings_share_is_not(command: tuple[str, ...]) -> None:
    Path("shared.toml").write_text("weight_m2s = 0.3\nweight_lipreader = 0.0\nlipreader_input = 'video'\n")
    code, _, err = run(*command, "none.h5", "--config", "shared.toml")
    assert code == 1
    assert "none.h5: no such file" in err
    code, _, err = run(*command, "none.h5", "--config", "shared.toml", *READER)
    assert code == 2
    assert f"--lipreader: weight_lipreader {WEIGHS_NOTHING}" in err


def test_an_option_of_other_corpora_is_refused() -> None:
    write_arkit_corpus(Path("corpus"), subjects=("ann",), clips=1)
    Path("lips.txt").write_text("1\n")
    for option in (
        "--components 3",
        "--drop-vertices",
        "--biwi-test A",
        "--lips lips.txt",
        "--flame x.pkl",
        "--scale 2",
    ):
        code, _, err = run("preprocess", "corpus", *option.split(), "--jobs", "1")
        assert code == 1
        assert err.startswith(f"error: {option.split()[0]}")
        assert err.endswith("leave it out")
    assert not Path("dataset.h5").exists()


def test_nobody_to_hold_out_is_said() -> None:
    code, _, err = run("synthesize", "corpus", "--clips", "2", "--held-out", "rms")
    assert code == 1
    assert "error: --held-out rms: needs a recorded voice of theirs among the speakers, and two others; give " in err
    assert not Path("corpus").exists()


def test_judges_that_no_metric_asks_are_refused() -> None:
    small_dataset(Path("dataset.h5"))
    for option, path in {
        "--m2s": "x.h5", "--recogniser": "x.h5", "--lipreader": "x.h5", "--vocoder": "x.h5", "--same-judge": None,
    }.items():  # fmt: skip
        given = (option,) if path is None else (option, path)
        code, _, err = run("evaluate", "--metrics", "lve", *given)
        assert code == 1
        assert f"error: {option}: none of the metrics looks at it; leave it out, or ask for others by --metrics" in err
