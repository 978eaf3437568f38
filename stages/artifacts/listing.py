"""A listing of any artifact: groups and arrays, with shapes, types, axes and units."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

# A group with more children than this shows the first ones and counts the rest.
_MAX_CHILDREN = 12


@dataclass(frozen=True)
class Entry:
    """One line of the listing."""

    path: str
    shape: str
    dtype: str
    note: str


def root_attributes(file: h5py.File) -> dict[str, Any]:
    """What the file is and what made it; JSON attributes are decoded."""
    values = {name: _plain(value) for name, value in file.attrs.items()}
    for name in ("config", "inputs", "model"):
        if isinstance(values.get(name), str):
            # What another program wrote there is shown as it stands.
            with suppress(json.JSONDecodeError):
                values[name] = json.loads(values[name])
    return values


def list_entries(group: h5py.Group, depth: int) -> Iterator[Entry]:
    """Groups and arrays below `group`, `depth` levels deep."""
    for number, (name, item) in enumerate(group.items()):
        if number == _MAX_CHILDREN:
            yield Entry(f"{group.name.rstrip('/')}/...", "", "", f"and {len(group) - number} more")
            return
        if not isinstance(item, h5py.Dataset | h5py.Group):
            yield Entry(f"{group.name.rstrip('/')}/{name}", "", "unreadable", "neither a group nor an array")
            continue
        attributes = {key: _plain(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            note = " ".join(f"{k}={v}" for k, v in attributes.items())
            dtype = "table" if item.dtype.names else "text" if item.dtype.kind == "O" else str(item.dtype)
            yield Entry(item.name, "×".join(map(str, item.shape)) or "scalar", dtype, note)
        else:
            facts = " ".join(f"{k}={v}" for k, v in attributes.items() if v != "")
            yield Entry(item.name + "/", f"{len(item)} items", "group", facts)
            if depth > 1:
                yield from list_entries(item, depth - 1)


def _plain(value: Any) -> Any:
    """Python's own number, text or list for a value of numpy."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else value
