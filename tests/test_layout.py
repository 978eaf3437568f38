"""The house holds: imports go downward, each library lives in its room, and nothing lies about."""

import ast
import keyword
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from thunder_cli.app import app

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(p for package in ("stages", "thunder_cli") for p in (ROOT / package).rglob("*.py"))

# From the top down; the folders of one layer may import each other.
LAYERS = (
    {"thunder_cli"},
    {"recipe"},
    {"corpora", "training", "rendering", "export", "pages"},
    {"models", "diffusion", "losses", "metrics"},
    {"audio", "heads", "formats"},
    {"artifacts"},
    {"runtime"},
)
TOP = {
    ".ci", ".gitattributes", ".github", ".gitignore", "LICENSE", "Makefile", "README.md", "assets", "constraints.txt",
    "pyproject.toml", "stages", "tests", "thunder_cli",
}  # fmt: skip


def place(module: str) -> str:
    """The folder of a module below `stages`, `recipe` for a stage file, or `thunder_cli`."""
    parts = module.split(".")
    if parts[0] == "thunder_cli":
        return "thunder_cli"
    if len(parts) == 1:
        return "runtime"  # the docstring of the package
    return parts[1] if (ROOT / "stages" / parts[1]).is_dir() else "recipe"


def layer(module: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if place(module) in names]
    assert found, f"{module}: its folder has no place in the layers; give it one here and in the README"
    return found[0]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def parsed(source: str) -> tuple[list[ast.Import | ast.ImportFrom], list[int]]:
    """What a file imports, and the lines on which it prints; read once for all who ask."""
    nodes = list(ast.walk(ast.parse(source)))
    names = ((n.func, n.lineno) for n in nodes if isinstance(n, ast.Call))
    printed = [line for func, line in names if isinstance(func, ast.Name) and func.id == "print"]
    return [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)], printed


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; `from stages import evaluate` names stages.evaluate."""
    found: set[str] = set()
    for node in parsed(path.read_text(encoding="utf-8"))[0]:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module in ("stages", "thunder_cli") else {str(node.module)}
    return found


def violations(path: Path) -> list[str]:
    here = module_of(path)
    ours = sorted(m for m in imports(path) if m.split(".")[0] in ("stages", "thunder_cli"))
    upward = [f"{here} imports {m}: upward" for m in ours if layer(m) < layer(here)]
    sideways = [f"{here} imports {m}: a stage" for m in ours if place(here) == place(m) == "recipe"]
    return upward + sideways


def test_imports_go_downward_and_stages_never_meet() -> None:
    assert [line for path in SOURCES for line in violations(path)] == []


def test_a_wrong_import_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("stages/audio", "stages/corpora"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    for name, text, expected in (
        ("stages/audio/a.py", "def f():\n    from stages.corpora.b import g\n", ["upward"]),
        ("stages/audio/a.py", "from stages import sample\n", ["upward"]),
        ("stages/render.py", "import stages.sample\n", ["a stage"]),
        ("stages/render.py", "from stages.corpora.b import g\nimport torch\n", []),
    ):
        path = tmp_path / name
        path.write_text(text)
        assert [line.split(": ")[1] for line in violations(path)] == expected


@pytest.mark.parametrize(
    ("libraries", "home"),
    [
        ({"h5py"}, "stages/artifacts/"),
        ({"typer", "rich", "click"}, "thunder_cli/"),
        ({"pickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}, "stages/corpora/unpickler.py"),
    ],
)
def test_each_library_lives_in_its_room(libraries: set[str], home: str) -> None:
    guests = {str(p.relative_to(ROOT)) for p in SOURCES if {m.split(".")[0] for m in imports(p)} & libraries}
    assert {path for path in guests if not path.startswith(home)} == set()


def test_stages_never_print() -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / "stages") and path.name != "__main__.py":
            text = path.read_text(encoding="utf-8")
            assert parsed(text)[1] == [], path
            assert not re.search(r"\bsys\.(stdout|stderr|exit)\b", text), path


def test_no_room_is_called_utils() -> None:
    folders = {parent.name for path in SOURCES for parent in path.parents}
    assert not ({path.stem for path in SOURCES} | folders) & {
        "utils",
        "util",
        "common",
        "helpers",
        "helper",
        "manager",
        "misc",
    }


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_top_level_holds_what_the_readme_maps() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("/")[0] for line in listed.splitlines()} - TOP == set()


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "torchaudio", "h5py", "numpy", "scipy", "joblib", "matplotlib", "lightning", "pydantic")
    program = f"import sys, thunder_cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def commands() -> list[str]:
    # `import_.py`, since Python keeps the word for itself.
    return sorted(
        path.stem.rstrip("_").replace("_", "-") for path in (ROOT / "thunder_cli" / "commands").glob("[!_]*.py")
    )


def test_every_command_file_is_a_command_and_is_listed() -> None:
    assert sorted(get_command(app).commands) == commands()  # type: ignore[attr-defined]
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(re.search(rf"^\W*{name}\s", shown, re.MULTILINE) for name in commands())


@pytest.mark.parametrize("name", commands())
def test_every_command_explains_itself_by_an_example(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert re.search(rf"Example:\s+thunder {name}", result.output)
    stage = name.replace("-", "_") + ("_" if keyword.iskeyword(name) else "")
    assert (ROOT / "stages" / f"{stage}.py").is_file(), "a command is a thin shell over a stage of its name"
