"""What made a file: the part of a page that lets others make it again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.pages.page import Details, Facts, Section
from stages.runtime.provenance import sha256_of_file


def provenance_section(path: Path, attributes: Mapping[str, Any]) -> Section:
    """Command, seed, inputs and configuration of a file, and its own hash."""
    config = attributes.get("config", {})
    blocks: list[Facts | Details] = [Facts(file_facts(path, attributes, sha256_of_file(path)))]
    if config:
        blocks.append(Details("Configuration", json.dumps(config, indent=1, ensure_ascii=False)))
    return Section("Where it came from", blocks)


def file_facts(path: Path, attributes: Mapping[str, Any], sha256: str) -> dict[str, str]:
    """Name, hash, and what made a file; `attributes` are its root attributes."""
    inputs = attributes.get("inputs", {})
    listed = {f"made from {name}": str(digest) for name, digest in inputs.items()} if isinstance(inputs, dict) else {}
    return {
        "file": str(path),
        "SHA-256": sha256,
        "made by": str(attributes.get("command", "")),
        "seed": str(attributes.get("seed", "")),
        "made at": str(attributes.get("created_utc", "")),
        "toolkit": str(attributes.get("toolkit_version", "")),
        **listed,
    }
