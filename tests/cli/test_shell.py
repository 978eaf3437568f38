"""The shell as a user meets it: one line an error, exit codes, pipes and signals."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import pytest
from rich.console import Console
from typer.testing import CliRunner

from stages.doctor import Check
from stages.runtime.errors import Failure
from tests.builders import small_dataset
from thunder_cli import console, display
from thunder_cli.app import app

PROGRAM = [sys.executable, "-c", "from thunder_cli.app import main; main()"]
ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")


def thunder(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "dataset.h5", num_frames=4)


def test_an_error_is_one_plain_line_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "[red]:smile: no \n such.h5"
    result = thunder("inspect", path)
    assert result.returncode == 1
    assert result.stdout == ""
    # No colour, no markup, no emoji, no folding: what the error says is what is printed, on one line.
    assert result.stderr == f"error: {tmp_path}/[red]:smile: no such.h5: no such file\n"


def test_usage_is_2(tmp_path: Path) -> None:
    for arguments in (["inspect"], ["inspect", "a", "--depth", "0"], ["dance"], ["inspect", "a", "--no-such-option"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, arguments
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert "; see `thunder " in result.stderr


def test_without_arguments_the_help_is_shown() -> None:
    result = thunder()
    assert result.returncode == 2
    assert "inspect" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_pipe_gets_neither_colour_nor_folded_rows(dataset: Path) -> None:
    result = thunder("inspect", dataset, "--depth", 3, env=os.environ | {"COLUMNS": "40"})
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["/clips/s0_clip/waveform", "2560", "int16", "axes=S", "sample_rate_hz=16000"] in rows


def test_json_is_all_that_stdout_gets(dataset: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(dataset), "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["attributes"]["schema"] == "thunder.dataset"
    assert found["attributes"]["schema_version"] == 1
    assert {"path": "/clips/", "shape": "4 items", "dtype": "group", "note": ""} in found["entries"]


def test_json_holds_plain_values_only(capsys: pytest.CaptureFixture[str]) -> None:
    numpy = pytest.importorskip("numpy")
    value = {
        "nan": float("nan"), "inf": [numpy.float32("inf")], "int": numpy.int64(3), "path": Path("a/b"), "yes": True,
        "failures": (Failure("a", "b"),), "array": numpy.arange(2), "none": None,
    }  # fmt: skip
    console.print_json(value)
    assert json.loads(capsys.readouterr().out) == {
        "nan": None, "inf": [None], "int": 3, "path": "a/b", "yes": True,
        "failures": [{"item": "a", "reason": "b"}], "array": [0, 1], "none": None,
    }  # fmt: skip


def test_some_failures_of_many_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    console.report_failures([], 3, "clips")
    with pytest.raises(console.typer.Exit) as raised:
        console.report_failures([Failure("a", "silent")], 3, "clips")
    assert raised.value.exit_code == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: 1 of 3 clips failed: a: silent\n")


def test_a_file_the_system_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/data/a.h5")

    monkeypatch.setattr("stages.inspect.describe_artifact", refuse)
    result = CliRunner().invoke(app, ["inspect", "/data/a.h5"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: /data/a.h5: Permission denied; check")
    assert result.stderr.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("strange")

    monkeypatch.setattr("stages.inspect.describe_artifact", fail)
    assert isinstance(CliRunner().invoke(app, ["inspect", "a.h5"]).exception, OSError)


@POSIX
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_reader_that_has_seen_enough_ends_it_quietly(dataset: Path, arguments: tuple[str, ...]) -> None:
    with h5py.File(dataset, "r+") as file:
        for number in range(3000):
            file.attrs[f"note{number}"] = "x" * 30
    command = [*PROGRAM, "inspect", str(dataset), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_text_that_the_terminal_cannot_show_is_no_failure(dataset: Path) -> None:
    with h5py.File(dataset, "r+") as file:
        file["clips/s0_clip"].attrs["transcript"] = "你好"
    result = thunder("inspect", dataset, env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (result.returncode, result.stderr) == (0, "")
    assert r"transcript=\u4f60\u597d" in result.stdout


SLOW = """
    import sys, time
    from pathlib import Path
    from thunder_cli.app import app

    @app.command("slow")
    def slow() -> None:
        from stages.artifacts.files import write_artifact
        from stages.runtime.provenance import Provenance
        with write_artifact(Path(sys.argv[1]), "thunder.training", Provenance(seed=0), force=True):
            print("ready", flush=True)
            time.sleep(60)

    app(["slow"])
"""


@POSIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_cleans_up_and_exits_130(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SLOW), str(tmp_path / "a.h5")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("torch", "ok", "2.0"), Check("ffmpeg", "fail", "none", "pip install imageio-ffmpeg")]
    monkeypatch.setattr("stages.doctor.examine", lambda fix: checks)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "pip install imageio-ffmpeg" in result.stdout
    assert result.stderr == "error: ffmpeg: not in order; the last column says what to do\n"
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[1] == {
        "name": "ffmpeg", "status": "fail", "found": "none", "remedy": "pip install imageio-ffmpeg",
    }  # fmt: skip
    monkeypatch.setattr("stages.doctor.examine", lambda fix: checks[:1])
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


# Progress


def test_a_pipe_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress()("training", total=2) as advance:
        advance()
    assert capsys.readouterr().err == ""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 100 columns gets."""
    shown = io.StringIO()
    monkeypatch.setattr(display, "_SECONDS_BEFORE_IT_SHOWS", 0.05)
    monkeypatch.setattr(console, "stderr", Console(file=shown, force_terminal=True, width=100))
    monkeypatch.setattr(console, "_is_watched", lambda: True)
    return shown


def wait_for(text: str, shown: io.StringIO) -> None:
    """Until it is shown; on a busy machine that may take a while."""
    end = time.monotonic() + 20
    while text not in shown.getvalue() and time.monotonic() < end:
        time.sleep(0.02)


def test_a_bar_comes_by_the_clock_and_goes(watched: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert console.progress(quiet=True) is console.silent
    with console.progress()("[outer]", total=2) as advance:
        with console.progress()("inner", total=4) as inner:
            inner(1, loss=0.123456, stage="b")
            wait_for("inner", watched)  # nothing advances, and yet the bar comes
        advance(2)
    console.say("a remark")
    shown = watched.getvalue()
    assert "[outer]" in shown
    assert "inner" in shown
    assert "1/4" in shown
    assert "loss 0.1235  stage b" in shown
    # The terminal is given back, its cursor shown, before the remark.
    assert shown.index("\x1b[?25h") < shown.index("a remark")
    assert console._displays == []
    monkeypatch.setattr(display, "_SECONDS_BEFORE_IT_SHOWS", 60)
    with console.progress()("quick") as advance:
        advance()
    console.close_display()
    assert "quick" not in watched.getvalue()


def test_what_takes_long_and_tells_nothing_is_seen_to_work(
    watched: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_SECONDS_BEFORE_IT_SAYS_THAT_IT_WORKS", 0.1)
    monkeypatch.setattr(sys, "argv", ["thunder", "inspect", "a.h5"])  # not pytest's own, which may say -q
    monkeypatch.setattr("stages.inspect.describe_artifact", lambda *_, **__: wait_for("working", watched))
    CliRunner().invoke(app, ["inspect", "a.h5"])
    assert re.search(r"working  \d+:\d\d", watched.getvalue())
    assert console._displays == []


def test_a_narrow_terminal_has_words_rather_than_a_bar(watched: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "stderr", Console(file=watched, force_terminal=True, width=36))
    with console.progress()("sampling", total=120) as advance:
        advance(7, loss=0.123456, a_long_name="and a long value of it")
        wait_for("sampling", watched)
    console.close_display()
    lines = [line for line in re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]|\r", "\n", watched.getvalue()).splitlines() if line]
    assert any(line.startswith("sampling 7/120") for line in lines)
    assert max(map(len, lines)) <= 36


def test_nobody_watches_ci_a_dumb_terminal_or_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("CI", "TERM", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def watched(file: io.StringIO) -> bool:
        monkeypatch.setattr(console, "stderr", Console(file=file))
        return console._is_watched()

    assert watched(Terminal())
    assert not watched(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not watched(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not watched(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("CI", "true")
    assert not watched(Terminal())


@pytest.mark.parametrize(
    ("per_s", "said"), [(None, ""), (123.4, "123/s"), (2.5, "2.5/s"), (0.125, "8.0 s each"), (0.01, "1:40 each")]
)
def test_rates(per_s: float | None, said: str) -> None:
    assert display.pace(per_s) == said


def test_times() -> None:
    assert [display.clock(s) for s in (7, 59.6, 3723)] == ["0:07", "1:00", "1:02:03"]
