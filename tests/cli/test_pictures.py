"""Pictures in terminals: which can show them, and what is sent to each."""

import base64
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.builders import small_dataset
from thunder_cli import console, pictures
from thunder_cli.app import app

TERMINALS = ("CI", "TMUX", "STY", "TERM", "TERM_PROGRAM", "KITTY_WINDOW_ID", "NO_COLOR", "COLORTERM")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A terminal of true colour with no name."""
    for name in TERMINALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    colourful = Console(force_terminal=True, color_system="truecolor", width=80)
    monkeypatch.setattr(console, "stdout", colourful)
    return monkeypatch


@pytest.mark.parametrize(
    ("named", "way"),
    [
        ({}, "blocks"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "1"}, "blocks"),
        ({"KITTY_WINDOW_ID": "1", "STY": "1"}, "blocks"),
        ({"TERM": "dumb"}, None),
        ({"TERM": "xterm-kitty", "CI": "true"}, None),
    ],
)
def test_a_terminal_is_known_by_its_name(
    terminal: pytest.MonkeyPatch, named: dict[str, str], way: pictures.Way | None
) -> None:
    for name, value in named.items():
        terminal.setenv(name, value)
    assert pictures.way_to_show() == way


def test_a_pipe_and_a_terminal_of_few_colours_show_none(terminal: pytest.MonkeyPatch) -> None:
    terminal.setattr(console, "stdout", Console(force_terminal=True, color_system="standard"))
    assert pictures.way_to_show() is None
    terminal.setenv("TERM", "xterm-kitty")
    assert pictures.way_to_show() == "kitty"
    terminal.setattr(sys.stdout, "isatty", lambda: False)
    assert pictures.way_to_show() is None


def test_a_half_block_is_two_pixels() -> None:
    picture = np.zeros((4, 2, 3), np.uint8)
    picture[0, 0], picture[1, 0], picture[2, 1], picture[3, 1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
    text = pictures.half_blocks(picture, 80)
    assert text.plain == "▀▀\n▀▀"
    styles = [str(span.style) for span in text.spans]
    assert [styles[0], styles[3]] == ["rgb(255,0,0) on rgb(0,255,0)", "rgb(0,0,255) on rgb(9,9,9)"]
    wide = pictures.half_blocks(np.zeros((100, 400, 3), np.uint8), 40)
    assert [len(line) for line in wide.plain.splitlines()] == [40] * 5


def test_a_picture_comes_out_of_both_protocols_as_it_went_in() -> None:
    png = bytes(range(256)) * 50
    parts = re.findall("\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\\\", pictures.kitty(png))
    assert base64.b64decode("".join(letters for _, letters in parts)) == png
    assert max(len(letters) for _, letters in parts) <= 4096
    assert parts[0][0] == "a=T,f=100,m=1"
    assert [control for control, _ in parts[1:]] == ["m=1"] * (len(parts) - 2) + ["m=0"]
    found = re.fullmatch("\x1b]1337;File=inline=1;size=(\\d+):(.*)\x07", pictures.iterm(png))
    assert found is not None
    assert int(found[1]) == len(png)
    assert base64.b64decode(found[2]) == png


def test_a_sparkline_falls_as_its_values() -> None:
    assert pictures.sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"
    assert pictures.sparkline([3.0, 3.0]) == "▁▁"
    assert len(pictures.sparkline(list(range(1000)))) == 32


def test_inspect_shows_heads_where_it_can_and_not_where_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(small_dataset(tmp_path / "dataset.h5", num_frames=4))
    assert "▀" not in CliRunner().invoke(app, ["inspect", path]).stdout
    monkeypatch.setattr(pictures, "way_to_show", lambda: "blocks")
    shown = CliRunner().invoke(app, ["inspect", path]).stdout
    assert "▀" in shown
    assert "s0_clip · 0." in shown
    assert "▀" not in CliRunner().invoke(app, ["inspect", path, "--no-pictures"]).stdout
    assert "▀" not in CliRunner().invoke(app, ["inspect", path, "--json"]).stdout
