"""Vertices over time as one NumPy array a file: (T, V, 3) or (T, V*3), float32, in head units."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.runtime.atomic_file import whole_or_none


def write_vertex_npy(
    path: Path, blocks: Iterable[NDArray[np.float32]], num_frames: int, num_vertices: int, *, flat: bool = False
) -> None:
    """Writes an array block by block, so that memory does not grow with its length.

    Args:
        path: file to write; an existing one is replaced when the new one is whole.
        blocks: (t, V, 3) each; together T frames, in order.
        num_frames: T.
        num_vertices: V.
        flat: one row a frame, x, y and z of a vertex side by side, as VOCASET's processed form has them.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    shape = (num_frames, 3 * num_vertices) if flat else (num_frames, num_vertices, 3)
    with whole_or_none(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        written = 0
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").tobytes())
            written += len(block)
        if written != num_frames:
            raise ValueError(f"{path}: wanted {num_frames} frames, found {written}")
