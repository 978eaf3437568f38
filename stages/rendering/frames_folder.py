"""A film as a folder: 000000.png, 000001.png, ... and speech.wav, for programs that compose pictures themselves."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from stages.audio.waveform import to_int16, write_wav
from stages.rendering.video import AddFrames
from stages.runtime.errors import ThunderError, explained_write

_NUMBERED = "[0-9]" * 6 + ".png"
SOUND = "speech.wav"


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuses a folder that holds something already, unless `force` lets earlier frames go.

    Raises:
        ThunderError: it is a file, or is not empty.
    """
    if folder.exists() and not folder.is_dir():
        raise ThunderError(f"{folder}: a file, wanted a folder for the frames; choose another --output")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise ThunderError(f"{folder}: exists already; give --force to replace its frames, or choose another --output")


@contextmanager
def write_frames(folder: Path, num_frames: int, *, waveform: np.ndarray | None = None) -> Iterator[AddFrames]:
    """Opens a folder of pictures for writing; they appear in it only when the block ends without an error.

    Frames of an earlier film in the folder go, other files in it stay. Sound starts with the first frame.

    Args:
        folder: made if it is not there.
        num_frames: how many frames will be added.
        waveform: (S,) float in -1..1, mono, 16 kHz.

    Yields:
        A function that takes the next frames (T, height, width, 3 or 4), uint8 sRGB.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    added = 0

    def add(pictures: np.ndarray) -> None:
        nonlocal added
        for picture in pictures:
            Image.fromarray(picture).save(partial / f"{added:06d}.png", compress_level=3)
            added += 1

    try:
        with explained_write(folder):
            partial.mkdir(parents=True)
            yield add
            if added != num_frames:
                raise ValueError(f"a film of {num_frames} frames was given {added}")
            if waveform is not None:
                write_wav(partial / SOUND, to_int16(waveform))
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob(_NUMBERED):
                earlier.unlink()
            for file in sorted(partial.iterdir()):
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
