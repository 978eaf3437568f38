"""Reads films back, with the same ffmpeg that wrote them."""

import re
import subprocess
from pathlib import Path

import numpy as np

from stages.audio.ffmpeg_binary import find_ffmpeg


def describe(path: Path) -> tuple[float, str]:
    """Duration in seconds, and what ffmpeg says of the file."""
    words = subprocess.run([find_ffmpeg(), "-hide_banner", "-i", path], capture_output=True, text=True).stderr  # noqa: PLW1510
    hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):([\d.]+)", words).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds), words


def frames(path: Path, height: int, width: int) -> np.ndarray:
    """(T, height, width, 3) uint8."""
    return np.frombuffer(_decode(path, "-f", "rawvideo", "-pix_fmt", "rgb24"), np.uint8).reshape(-1, height, width, 3)


def sound(path: Path, sample_rate_hz: int) -> np.ndarray:
    """(S,) in -1..1."""
    raw = _decode(path, "-f", "s16le", "-ac", "1", "-ar", str(sample_rate_hz))
    return np.frombuffer(raw, "<i2") / 32768


def _decode(path: Path, *options: str) -> bytes:
    command = [find_ffmpeg(), "-loglevel", "error", "-i", path, *options, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout
