"""The help of every command: an example that works, options in panels, colours and characters that any terminal shows."""

import io
import re
import shlex
import sys
from typing import Any, get_args

import pytest
from typer import rich_utils
from typer.main import get_command
from typer.testing import CliRunner

from stages.artifacts.clips import SPLITS
from stages.corpora.layout import LAYOUTS
from stages.corpora.synthesis.expression import EMOTIONS
from stages.corpora.synthesis.voices import ENGINES, LANGUAGES
from stages.diffusion.motion_config import OWN
from stages.metrics.catalogue import CATALOGUE, find_metrics
from stages.models.mesh_to_speech import MelInput
from stages.sample import SampleConfig
from stages.train_m2s import TrainM2SConfig
from thunder_cli import completions, console, help_pages
from thunder_cli.app import COMMANDS, app
from thunder_cli.completions import one_of, some_of

ROOT: Any = get_command(app)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_one_that_works(name: str) -> None:
    text = " ".join((COMMANDS[name].__doc__ or "").split())
    examples = re.findall(r"Example: `([^`]+)`", text)
    assert examples, "the help of every command ends with: Example: `thunder ...`"
    for example in examples:
        program, command, *arguments = shlex.split(example.split(" | ")[-1])
        assert (program, command) == ("thunder", name)
        ROOT.commands[command].make_context(command, arguments).close()


@pytest.mark.parametrize("name", COMMANDS)
def test_many_options_stand_in_panels_and_each_once(name: str, wide: None) -> None:
    shown = help_of(name)
    options = [p for p in ROOT.commands[name].params if p.param_type_name == "option"]
    for option in options:
        label = option.opts[0]
        assert len(re.findall(rf"^│ [ *] *{label}\b(?!-)|^│ {label}\b(?!-)", shown, re.MULTILINE)) == 1, label
    panels = re.findall(r"^╭─ (.+?) ─", shown, re.MULTILINE)
    assert ("Running" in panels) == (len(options) + 1 > 10)
    assert "<bool>" not in shown
    assert "range" not in shown


def test_every_option_of_a_panel_exists() -> None:
    known = {p.name for command in ROOT.commands.values() for p in command.params} | {"help"}
    assert {name for names in help_pages.PANELS.values() for name in names} <= known
    for command, options in help_pages.PANELS_OF.items():
        assert options.keys() <= {p.name for p in ROOT.commands[command].params}


@pytest.mark.parametrize("arguments", [(), ("sample",), ("evaluate",)])
def test_no_colour_that_a_light_or_a_dark_terminal_swallows(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", True)
    monkeypatch.setattr(rich_utils, "COLOR_SYSTEM", "standard")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown = help_of(*arguments)
    letters = [
        (codes, text) for codes, text in re.findall(r"\x1b\[([\d;]+)m([^\x1b]*)", shown) if re.search(r"\w", text)
    ]
    assert letters
    # Dim, yellow, blue, cyan and white; the titles of panels are dim, as their borders.
    swallowed = {"2", "33", "34", "36", "37", "93", "94", "96", "97"}
    titles = {"Options", "Arguments", "Commands", *help_pages.PANELS}
    assert not [text for codes, text in letters if swallowed & set(codes.split(";")) and text.strip() not in titles]


@pytest.mark.parametrize("name", ["evaluate", "compare", "sample"])
@pytest.mark.parametrize("columns", ["40", "80"])
def test_an_ascii_terminal_of_any_width_gets_readable_help(
    name: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    console.show_all_characters()
    with pytest.raises(SystemExit) as end:
        app([name, "--help"])
    sys.stdout.flush()
    assert end.value.code == 0
    text = shown.getvalue().decode("ascii")
    assert "\\u" not in text
    assert "\\x" not in text
    assert max(map(len, text.splitlines())) <= int(columns)


def test_characters_are_spelled_where_they_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    console.show_all_characters()
    sys.stdout.write("12 mm² × … 你a")
    sys.stdout.flush()
    assert shown.getvalue().decode("ascii") == r"12 mm2 x ~ \u4f60a"


# What the Tab key offers


def test_offers_are_the_names_that_the_stages_know() -> None:
    assert tuple(SPLITS) == completions.SPLITS
    assert tuple(LAYOUTS) == completions.LAYOUTS
    assert tuple(ENGINES) == completions.ENGINES
    assert tuple(LANGUAGES) == completions.LANGUAGES
    assert completions.EMOTIONS == EMOTIONS
    assert completions.OWN == OWN
    assert get_args(MelInput) == completions.M2S_INPUTS
    assert tuple(TrainM2SConfig.presets) == completions.PRESETS
    assert get_args(SampleConfig.model_fields["sampler"].annotation) == completions.SAMPLERS
    offered = [metric for name in completions.METRICS for metric in find_metrics(name)]
    assert {metric.name for metric in offered} == {metric.name for metric in CATALOGUE}


def test_offers_go_on_after_a_comma() -> None:
    assert one_of(("tiny", "small"))("s") == ["small"]
    complete = some_of(("lve", "mve", "lips"))
    assert complete("l") == ["lve", "lips"]
    assert complete("lve,") == ["lve,mve", "lve,lips"]


def offered(line: str) -> list[str]:
    words = line.split(" ")
    environment = {"_THUNDER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return CliRunner().invoke(app, env=environment, prog_name="thunder").stdout.split()


def test_the_tab_key_offers_commands_options_and_names() -> None:
    assert offered("thunder sam") == ["sample"]
    assert offered("thunder sample --emo") == ["--emotion"]
    assert offered("thunder sample x.wav --emotion s") == ["sad", "surprised"]
    assert offered("thunder export --format g") == ["gltf"]
    assert offered("thunder evaluate --metrics lve,cl") == ["lve,closure-rate"]
    assert offered("thunder train-m2s --preset p") == ["paper"]
    # Nothing: the shell then offers files.
    assert offered("thunder sample spe") == []
    assert offered("thunder sample --model d") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_without_an_offer_offers_files(shell: str) -> None:
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="thunder", complete_var="_THUNDER_COMPLETE", shell=shell)
    assert {"bash": "-o default", "zsh": "compdef", "fish": "complete --command thunder"}[shell] in script
