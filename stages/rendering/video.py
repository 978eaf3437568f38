"""Films: H.264 and AAC in mp4, frames piped to ffmpeg as they are made."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import IO

import ffmpeg
import numpy as np

from stages.audio.ffmpeg_binary import find_ffmpeg
from stages.audio.waveform import stream_wav
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError

AddFrames = Callable[[np.ndarray], None]


@contextmanager
def write_film(
    path: Path,
    size: tuple[int, int],
    num_frames: int,
    fps: float,
    *,
    waveform: np.ndarray | None = None,
    sample_rate_hz: int = 16_000,
) -> Iterator[AddFrames]:
    """Opens a film for writing; it appears under its name only when the block ends without an error.

    Frame t stands at t / fps seconds, and sound starts with the first frame. The film lasts num_frames / fps seconds:
    sound that goes on longer is cut, sound that ends sooner is followed by silence.

    Args:
        path: the mp4 file to write.
        size: (height, width) in pixels, both even.
        num_frames: how many frames will be added.
        fps: frames a second.
        waveform: (S,) float in -1..1, mono.
        sample_rate_hz: of the waveform.

    Yields:
        A function that takes the next frames (T, height, width, 3), uint8 sRGB.

    Raises:
        ThunderError: ffmpeg failed; its last line is in the message.
    """
    height, width = size
    if height % 2 or width % 2:
        raise ValueError(f"a film in yuv420p has even sides, given {height} x {width}")
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_name(f".{path.name}.{os.getpid()}.wav")
    added = 0
    try:
        with whole_or_none(path) as partial:
            if waveform is not None:
                num_samples = round(num_frames / fps * sample_rate_hz)
                fitted = np.pad(waveform[:num_samples], (0, max(0, num_samples - len(waveform))))
                with sound.open("wb") as file:
                    stream_wav(file, fitted, sample_rate_hz)
            with _running(_command(partial, size, fps, sound if waveform is not None else None), path) as frames:

                def add(pictures: np.ndarray) -> None:
                    nonlocal added
                    if pictures.dtype != np.uint8 or pictures.shape[1:] != (height, width, 3):
                        raise ValueError(
                            f"wanted uint8 (T, {height}, {width}, 3), given {pictures.dtype} {pictures.shape}"
                        )
                    frames.write(np.ascontiguousarray(pictures).data)
                    added += len(pictures)

                yield add
                if added != num_frames:
                    raise ValueError(f"a film of {num_frames} frames was given {added}")
    finally:
        sound.unlink(missing_ok=True)


@contextmanager
def _running(command: list[str], path: Path) -> Iterator[IO[bytes]]:
    """Runs ffmpeg, yields its standard input, and waits for it; kills it if the block fails.

    Raises:
        ThunderError: ffmpeg could not write `path`.
    """
    # A file and not a pipe: nobody reads while frames are written.
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words)
        assert process.stdin is not None
        try:
            try:
                yield process.stdin
                process.stdin.close()
            except BrokenPipeError:
                pass  # ffmpeg ended early; its exit code and its words say why
            if process.wait() != 0:
                words.seek(0)
                raise ThunderError(_explain(path, words.read().decode(errors="replace")))
        finally:
            process.kill()
            process.wait()


def _explain(path: Path, words: str) -> str:
    if "No space left on device" in words:
        return f"{path}: the disk is full; nothing was left behind, free some space or choose another --output"
    lines = [line for line in words.splitlines() if line.strip()]
    return f"{path}: ffmpeg could not write the film: {lines[-1] if lines else 'it said nothing'}; see `thunder doctor`"


def _command(target: Path, size: tuple[int, int], fps: float, sound: Path | None) -> list[str]:
    height, width = size
    rate = Fraction(fps).limit_denominator(1001)
    frames = ffmpeg.input(
        "pipe:",
        format="rawvideo",
        pix_fmt="rgb24",
        s=f"{width}x{height}",
        framerate=f"{rate.numerator}/{rate.denominator}",
    )
    # The colour matrix is chosen and said aloud, so that every player shows the colours that were rendered.
    streams = [frames.filter("scale", out_color_matrix="bt709", out_range="tv")]
    options = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
    if sound is not None:
        # `file:` keeps a name with a colon from being read as a protocol.
        streams.append(ffmpeg.input(f"file:{sound}"))
        options |= {"acodec": "aac", "audio_bitrate": "128k"}
    output = ffmpeg.output(
        *streams,
        f"file:{target}",
        format="mp4",
        vcodec="libx264",
        pix_fmt="yuv420p",
        preset="veryfast",
        crf=18,
        movflags="+faststart",
        **options,
    )
    quiet = output.global_args("-loglevel", "error", "-nostdin").overwrite_output()
    return [str(argument) for argument in quiet.compile(find_ffmpeg())]
