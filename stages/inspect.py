"""What an artifact holds: its provenance, and its groups and arrays with shape, axes and unit."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.artifacts.files import explained_damage, read_artifact
from stages.artifacts.listing import Entry, list_entries, root_attributes


@dataclass(frozen=True)
class Description:
    """What `describe_artifact` found."""

    path: Path
    attributes: dict[str, Any]
    entries: list[Entry]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"path": str(self.path), "attributes": self.attributes, "entries": [asdict(e) for e in self.entries]}


def describe_artifact(path: Path, *, depth: int = 2) -> Description:
    """Reads what an artifact is, what made it, and what it holds.

    Args:
        path: any artifact of the toolkit.
        depth: levels of groups to list; groups below are counted.

    Raises:
        ThunderError: not an artifact of this toolkit.
    """
    with read_artifact(path) as file, explained_damage(path):
        return Description(path, root_attributes(file), list(list_entries(file, depth)))
