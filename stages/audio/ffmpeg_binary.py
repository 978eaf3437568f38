"""Which ffmpeg to run: the system's, else the one that imageio-ffmpeg carries."""

import shutil
from functools import cache

from stages.runtime.errors import ThunderError


@cache
def find_ffmpeg() -> str:
    """Path of an ffmpeg program.

    Raises:
        ThunderError: there is none.
    """
    if system := shutil.which("ffmpeg"):
        return system
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise ThunderError("no ffmpeg found: pip install imageio-ffmpeg, or install ffmpeg") from error
