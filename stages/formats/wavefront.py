"""Wavefront OBJ, as far as meshes of a corpus and of takes need it: every vertex in the order of the file, and triangles.

Readers for display make vertices twice where textures or materials meet, and drop those that no face uses. Here that would put
every animation onto the wrong vertices.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError


def read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (V, 3) and triangles (F, 3); a face of more corners becomes a fan of triangles.

    Raises:
        ThunderError: a line that is no vertex or face though it says so, with its number.
    """
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    line_number = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                line_number += 1
                kind, *values = line.split("#", 1)[0].split() or [""]
                if kind == "v":
                    x, y, z = map(float, values[:3])  # colours may follow
                    vertices.append([x, y, z])
                elif kind == "f":
                    corners = [_index(value, len(vertices)) for value in values]
                    if len(corners) < 3:
                        raise ValueError(f"a face of {len(corners)} corners")
                    triangles += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
    except ValueError as error:
        raise ThunderError(f"{path}: line {line_number} cannot be read ({error}); export the mesh again") from error
    return np.array(vertices, np.float64).reshape(-1, 3), np.array(triangles, np.int64).reshape(-1, 3)


def _index(corner: str, num_vertices: int) -> int:
    """The vertex of a corner such as `7/3/2`, counted from 1, or from the end where negative."""
    index = int(corner.split("/", 1)[0])
    if index == 0:
        raise ValueError("vertices are counted from 1")
    return index - 1 if index > 0 else num_vertices + index


def write_obj(path: Path, vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    """Writes vertices (V, 3) and triangles (F, 3); nine significant digits, so that a float32 comes back bit for bit."""
    lines = "v %.9g %.9g %.9g\n" * len(vertices) % tuple(vertices.ravel().tolist())
    corners = "f %d %d %d\n" * len(faces) % tuple((faces.ravel() + 1).tolist())
    path.write_text(lines + corners, encoding="ascii", newline="\n")
