"""Reads pages back, as a browser does."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np


def blocks(path: Path) -> dict[str, Any]:
    """The data of a page by their ids."""
    found = re.findall(
        r'<script type="application/json" id="([\w-]+)">(.*?)</script>', path.read_text("utf-8"), re.DOTALL
    )
    return {name: json.loads(text) for name, text in found}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """What `pack` packed."""
    kind = np.dtype(packed["type"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["bytes"])), "u1").reshape(kind.itemsize, -1)
    values = sum(plane.astype("u4") << 8 * k for k, plane in enumerate(planes)).astype(kind).reshape(packed["shape"])
    return np.cumsum(values, axis=-1, dtype=kind) if packed["differences"] else values


def unpack_rows(packed: dict[str, Any]) -> np.ndarray:
    """(R, M)."""
    low, step = np.array(packed["low"])[:, None], np.array(packed["step"])[:, None]
    return low + step * unpack(packed["values"])


def unpack_shapes(packed: dict[str, Any]) -> np.ndarray:
    """(K, V, 3)."""
    values = unpack(packed["values"]).transpose(0, 2, 1)
    return values * np.array(packed["step"]).reshape(-1, 1, 1)


def vertices(
    page: dict[str, Any], clip: int, head: int, *, still: bool = False, frames: slice = slice(None)
) -> np.ndarray:
    """(T, V, 3) that a page draws at some frames, from its own words alone."""
    shared, shown = page["head"], page[f"clip-{clip}"]
    moving = shown["heads"][head]
    rows = unpack_rows(moving["rows"])[:, frames]
    parts, start = {}, 0
    for name, number in moving["counts"].items():
        parts[name], start = rows[start : start + number], start + number
    weights = parts["stillWeights"] if still and len(parts["stillWeights"]) else parts["weights"]
    transforms = parts["stillTransforms" if still else "transforms"]
    shapes = unpack_shapes(moving.get("shapes", shared["rig"]["shapes"]))
    points = unpack_rows(shown["template"]).T + np.einsum("kt,kvc->tvc", weights, shapes)
    moved = points.copy()
    for j, shares in enumerate(unpack(shared["rig"]["joints"]) / 65535):
        turn = transforms[12 * j : 12 * j + 12].T.reshape(-1, 3, 4)
        there = np.einsum("tab,tvb->tva", turn[..., :3], points) + turn[:, None, :, 3]
        moved += shares[:, None] * (there - points)
    return moved
