"""Films, frames piped to ffmpeg as they are made.

mp4: H.264 and AAC, which opens everywhere. webm: VP9 and Opus, for pages; may be transparent. mov: ProRes 4444 and plain sound,
for editing and compositing; may be transparent. gif: no sound, one palette.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal

import ffmpeg
import numpy as np

from stages.audio.ffmpeg_binary import find_ffmpeg
from stages.audio.waveform import stream_wav
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError

AddFrames = Callable[[np.ndarray], None]
Container = Literal["mp4", "webm", "mov", "gif"]
# What can hold how much of a pixel is seen.
TRANSPARENT: tuple[Container, ...] = ("webm", "mov")
# Pictures of a gif last whole hundredths of a second, and browsers slow those down that last less than two.
_GIF_FPS = 50


@contextmanager
def write_film(
    path: Path,
    size: tuple[int, int],
    num_frames: int,
    fps: float,
    *,
    waveform: np.ndarray | None = None,
    sample_rate_hz: int = 16_000,
    container: Container = "mp4",
    transparent: bool = False,
    palette_of: np.ndarray | None = None,
) -> Iterator[AddFrames]:
    """Opens a film for writing; it appears under its name only when the block ends without an error.

    Frame t stands at t / fps seconds, and sound starts with the first frame. The film lasts num_frames / fps seconds:
    sound that goes on longer is cut, sound that ends sooner is followed by silence.

    Args:
        path: the file to write.
        size: (height, width) in pixels, both even.
        num_frames: how many frames will be added.
        fps: frames a second.
        waveform: (S,) float in -1..1, mono.
        sample_rate_hz: of the waveform.
        container: what to write; a gif is silent, and of more than 50 fps it shows every second picture, or third.
        transparent: frames have a fourth channel, how much of a pixel is seen.
        palette_of: frames (n, height, width, 3) from all over the film, of which the 256 colours of a gif are made, since
            the film itself is not yet there; gifs alone want them.

    Yields:
        A function that takes the next frames (T, height, width, 3), uint8 sRGB, or four where transparent.

    Raises:
        ThunderError: ffmpeg failed; its last line is in the message.
    """
    height, width = size
    if height % 2 or width % 2:
        raise ValueError(f"a film in yuv420p has even sides, given {height} x {width}")
    if transparent and container not in TRANSPARENT:
        raise ValueError(f"{container} cannot be transparent")
    if (container == "gif") != (palette_of is not None):
        raise ValueError(
            f"{container} {'wants' if container == 'gif' else 'has no use for'} frames to make a palette of"
        )
    channels = 4 if transparent else 3
    if container == "gif":
        waveform = None
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
            heard = sound if waveform is not None else None
            num_samples_of_colour = 0 if palette_of is None else len(palette_of)
            command = _command(partial, size, fps, heard, container, transparent, num_samples_of_colour)
            with _running(command, path) as frames:

                def send(pictures: np.ndarray) -> None:
                    if pictures.dtype != np.uint8 or pictures.shape[1:] != (height, width, channels):
                        raise ValueError(
                            f"wanted uint8 (T, {height}, {width}, {channels}), given {pictures.dtype} {pictures.shape}"
                        )
                    frames.write(np.ascontiguousarray(pictures).data)

                def add(pictures: np.ndarray) -> None:
                    nonlocal added
                    send(pictures)
                    added += len(pictures)

                if palette_of is not None:
                    send(palette_of)
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


def _command(
    target: Path,
    size: tuple[int, int],
    fps: float,
    sound: Path | None,
    container: Container,
    transparent: bool,
    num_palette_frames: int,
) -> list[str]:
    height, width = size
    rate = Fraction(fps).limit_denominator(1001)
    frames = ffmpeg.input(
        "pipe:",
        format="rawvideo",
        pix_fmt="rgba" if transparent else "rgb24",
        s=f"{width}x{height}",
        framerate=f"{rate.numerator}/{rate.denominator}",
    )
    options: dict[str, Any]
    if container == "gif":
        streams, options = [_with_palette(frames, rate, num_palette_frames)], {"loop": 0}
    else:
        # The colour matrix is chosen and said aloud, so that every player shows the colours that were rendered.
        streams = [frames.filter("scale", out_color_matrix="bt709", out_range="tv")]
        options = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
        options |= _video_options(container, transparent)
    if sound is not None:
        # `file:` keeps a name with a colon from being read as a protocol.
        streams.append(ffmpeg.input(f"file:{sound}"))
        options |= _SOUND[container]
    output = ffmpeg.output(*streams, f"file:{target}", format=container, **options)
    quiet = output.global_args("-loglevel", "error", "-nostdin").overwrite_output()
    return [str(argument) for argument in quiet.compile(find_ffmpeg())]


_SOUND: dict[Container, dict[str, Any]] = {
    "mp4": {"acodec": "aac", "audio_bitrate": "128k"},
    "webm": {"acodec": "libopus", "audio_bitrate": "96k"},
    "mov": {"acodec": "pcm_s16le"},
}


def _video_options(container: Container, transparent: bool) -> dict[str, Any]:
    if container == "webm":
        # Pictures that are not shown, on which later ones build, are not kept for the transparency.
        layers = {"pix_fmt": "yuva420p", "auto-alt-ref": 0} if transparent else {"pix_fmt": "yuv420p"}
        return {"vcodec": "libvpx-vp9", "crf": 24, "b:v": 0, "deadline": "good", "cpu-used": 5, "row-mt": 1, **layers}
    if container == "mov":
        pixels = "yuva444p10le" if transparent else "yuv444p10le"
        return {"vcodec": "prores_ks", "profile:v": "4444", "vendor": "apl0", "pix_fmt": pixels}
    return {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "crf": 18, "movflags": "+faststart"}


def _with_palette(frames: Any, rate: Fraction, num_palette_frames: int) -> Any:
    """All but the first frames, in 256 colours of these first ones; what does not change need not be stored again.

    The palette is ready before the film begins, so that no frame is held back for it. Dots of an ordered dither stay where
    they are.
    """
    both = frames.filter_multi_output("split")
    palette = both[0].filter("trim", end_frame=num_palette_frames).filter("palettegen")
    film = both[1].filter("trim", start_frame=num_palette_frames).filter("setpts", "PTS-STARTPTS")
    if rate > _GIF_FPS:
        slower = rate / -(-rate // _GIF_FPS)
        film = film.filter("fps", f"{slower.numerator}/{slower.denominator}")
    return ffmpeg.filter([film, palette], "paletteuse", dither="bayer", bayer_scale=4, diff_mode="rectangle")
