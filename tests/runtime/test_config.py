"""Configuration: which source wins, and what is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field, ValidationError

from stages.runtime.config import Config
from stages.runtime.errors import ThunderError


class Sample(Config):
    a: int = 1
    b: int = 1
    c: int = 1
    d: float = Field(1.0, gt=0)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {"b": 2, "c": 2, "d": 2}, "small": {}}


def toml(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_later_sources_win(tmp_path: Path) -> None:
    file = toml(tmp_path, "c = 3\nd = 3")
    assert Sample.resolve() == Sample(a=1, b=1, c=1, d=1)
    assert Sample.resolve(preset="tiny") == Sample(a=1, b=2, c=2, d=2)
    assert Sample.resolve(preset="tiny", file=file) == Sample(a=1, b=2, c=3, d=3)
    assert Sample.resolve(preset="tiny", file=file, options={"d": 4, "a": None}) == Sample(a=1, b=2, c=3, d=4)
    assert Sample.resolve(options={"d": 4}) == Sample(d=4)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Sample().a = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("e = 1", {}, "{file}: e is not known; known keys: a, b, c, d"),
        ("d = -1", {}, "{file}: d wanted more than 0, found -1"),
        ("a = 'x'", {}, "{file}: a wanted a whole number, found 'x'"),
        ("d = 2", {"d": -1.0}, "--d wanted more than 0, found -1.0"),
        ("a = ", {}, "{file}: not a TOML file: "),
    ],
)
def test_values_that_are_refused(tmp_path: Path, text: str, options: dict[str, Any], expected: str) -> None:
    file = toml(tmp_path, text)
    with pytest.raises(ThunderError) as error:
        Sample.resolve(file=file, options=options)
    assert str(error.value).startswith(expected.format(file=file))


def test_files_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="no such configuration file"):
        Sample.resolve(file=tmp_path / "none.toml")
    with pytest.raises(ThunderError, match="a folder, wanted a TOML file"):
        Sample.resolve(file=tmp_path)
    (tmp_path / "c.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ThunderError, match="not a TOML file"):
        Sample.resolve(file=tmp_path / "c.toml")


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ThunderError, match="preset 'huge' is not known here; choose one of tiny, small"):
        Sample.resolve(preset="huge")
