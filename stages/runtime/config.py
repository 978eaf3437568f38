"""Configuration of a stage: a pydantic model filled from defaults, a preset, a TOML file and options, in that order."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stages.runtime.errors import ThunderError


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
                raise ThunderError(f"preset {preset!r} is not known here; choose one of {', '.join(cls.presets)}")
            values |= cls.presets[preset]
        if file is not None:
            from_file = _read_toml(file)
        given = {key: value for key, value in (options or {}).items() if value is not None}
        values |= from_file | given
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "configuration"
            hint = f"; known keys: {', '.join(cls.model_fields)}" if first["type"] == "extra_forbidden" else ""
            key = first["loc"][0] if first["loc"] else None
            source = f"{file}: " if key in from_file and key not in given else ""
            raise ThunderError(f"{source}{where}: {first['msg']}, found {first['input']!r}{hint}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise ThunderError(f"{path}: no such configuration file") from error
    except IsADirectoryError as error:
        raise ThunderError(f"{path}: a folder, wanted a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ThunderError(f"{path}: not a TOML file: {error}") from error
