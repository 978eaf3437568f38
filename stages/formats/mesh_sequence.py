"""A take as a folder of meshes, one file a frame: 000000.obj, 000001.obj, ..."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import explained_write


def write_mesh_sequence(
    folder: Path, suffix: str, frames: Iterable[NDArray[np.float32]], write: Callable[[Path, NDArray[np.float32]], None]
) -> None:
    """Writes all frames, or none; those of an earlier sequence in the folder go, other files in it stay.

    Args:
        folder: made if it is not there.
        suffix: `.obj` or `.ply`.
        frames: vertices (V, 3) of each.
        write: writes one of them to a file.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        with explained_write(folder):
            partial.mkdir()
            for number, vertices in enumerate(frames):
                write(partial / f"{number:06d}{suffix}", vertices)
            folder.mkdir(exist_ok=True)
            for earlier in folder.glob(f"{'[0-9]' * 6}{suffix}"):
                earlier.unlink()
            for file in sorted(partial.iterdir()):
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
