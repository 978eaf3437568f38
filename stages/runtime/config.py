"""Configuration of a stage: a pydantic model filled from defaults, a preset, a TOML file and options, in that order."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stages.runtime.errors import ThunderError, did_you_mean


class Config(BaseModel):
    """Base of all configurations: unknown keys and numbers that are not finite are errors, values never change after loading.

    A subclass names its presets as differences from its defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def resolve(
        cls, *, preset: str | None = None, file: Path | None = None, options: Mapping[str, Any] | None = None
    ) -> Self:
        """Builds the configuration; later sources win, and options that are None were not given.

        Raises:
            ThunderError: unknown preset or key, unreadable TOML, or a value out of range.
        """
        values: dict[str, Any] = {}
        from_file: dict[str, Any] = {}
        if preset is not None:
            if preset not in cls.presets:
                raise ThunderError(
                    f"preset {preset!r} is not known here; choose one of {', '.join(cls.presets)}"
                    + did_you_mean(preset, cls.presets)
                )
            values |= cls.presets[preset]
        if file is not None:
            from_file = _read_toml(file)
        given = {key: value for key, value in (options or {}).items() if value is not None}
        values |= from_file | given
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0]) if first["loc"] else None
            where = ".".join(map(str, first["loc"])) or "configuration"
            if key in given:
                where = _as_option(where)
            elif key in from_file:
                where = f"{file}: {where}"
            if first["type"] == "extra_forbidden":
                known = f"known keys: {', '.join(cls.model_fields)}"
                raise ThunderError(
                    f"{where} is not known; {known}{did_you_mean(str(key), cls.model_fields)}"
                ) from error
            raise ThunderError(f"{where} {wanted_and_found(first)}") from error


_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
}
# What a configuration says of a unit, the option of the same value leaves to its help.
_UNITS = ("_s", "_hz", "_dbfs", "_mm")


def wanted_and_found(error: Mapping[str, Any]) -> str:
    """One error of pydantic as "wanted at least 1, found 0"."""
    kind, context, found = error["type"], error.get("ctx", {}), error["input"]
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        return f"wanted {word} {context[bound]:g}, found {found!r}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        return f"wanted {context['expected']}, found {found!r}{did_you_mean(str(found), known)}"
    if kind in _KINDS:
        return f"wanted {_KINDS[kind]}, found {found!r}"
    return f"{error['msg'].removeprefix('Value error, ')}, found {found!r}"


def _as_option(key: str) -> str:
    for unit in _UNITS:
        key = key.removesuffix(unit)
    return f"--{key.replace('_', '-')}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise ThunderError(f"{path}: no such configuration file; check the path given to --config") from error
    except IsADirectoryError as error:
        raise ThunderError(f"{path}: a folder, wanted a TOML file; check the path given to --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ThunderError(f"{path}: not a TOML file: {error}; wanted lines such as `steps = 1000`") from error
