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


def frames(path: Path, height: int, width: int, *, transparent: bool = False) -> np.ndarray:
    """(T, height, width, 3) uint8, or 4 channels."""
    # The codec's own decoder sees the transparency of VP9; the one that ffmpeg prefers does not.
    before = ("-c:v", "libvpx-vp9") if transparent and path.suffix == ".webm" else ()
    pixels, channels = ("rgba", 4) if transparent else ("rgb24", 3)
    raw = _decode(path, "-f", "rawvideo", "-fps_mode", "passthrough", "-pix_fmt", pixels, before=before)
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, channels)


def times(path: Path) -> np.ndarray:
    """(T,) seconds at which frames are shown."""
    lines = _decode(path, "-map", "0:v", "-f", "framehash", "-hash", "adler32", "-fps_mode", "passthrough").decode()
    (base,) = re.findall(r"#tb 0: (\d+)/(\d+)", lines)
    rows = [line.split(",") for line in lines.splitlines() if not line.startswith("#")]
    return np.array([int(row[2]) * int(base[0]) / int(base[1]) for row in rows])


def sound(path: Path, sample_rate_hz: int) -> np.ndarray:
    """(S,) in -1..1, from the time at which the film begins: sound that starts later has silence before it."""
    raw = _decode(path, "-af", "aresample=async=1:first_pts=0", "-f", "s16le", "-ac", "1", "-ar", str(sample_rate_hz))
    return np.frombuffer(raw, "<i2") / 32768


def _decode(path: Path, *options: str, before: tuple[str, ...] = ()) -> bytes:
    command = [find_ffmpeg(), "-loglevel", "error", *before, "-i", path, *options, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout
