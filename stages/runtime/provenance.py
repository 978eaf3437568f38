"""Where an artifact came from: the command, seed, configuration and hashes of inputs that made it."""

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class Provenance:
    """What is written into the root attributes of every artifact.

    Attributes:
        command: the shell command, or the Python program, that made the file.
        seed: the seed that all randomness was drawn from.
        config: the resolved configuration, plain JSON values.
        inputs: name -> SHA-256 of every input that had a part in it.
    """

    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    command: str = field(default_factory=lambda: shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def toolkit_version() -> str:
    """The installed version of the toolkit, or "unknown" in a source tree that was never installed."""
    try:
        return version("thunder-talking-heads")
    except PackageNotFoundError:
        return "unknown"


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_listing(folder: Path) -> str:
    """SHA-256 of the names and sizes of all files below a folder, in hexadecimal: a corpus is too large to read twice."""
    lines = (f"{p.relative_to(folder).as_posix()} {p.stat().st_size}" for p in sorted(folder.rglob("*")) if p.is_file())
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()


def hash_inputs(**paths: Path | None) -> dict[str, str]:
    """Name -> SHA-256 for the given files and folders, leaving out those that are None."""
    return {
        name: sha256_of_listing(path) if path.is_dir() else sha256_of_file(path)
        for name, path in paths.items()
        if path is not None
    }
