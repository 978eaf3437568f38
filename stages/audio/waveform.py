"""Waveforms in and out of files: any format, rate, bit depth and number of channels becomes mono at 16 kHz.

libsndfile reads the formats that it knows by their first bytes, never by their name; ffmpeg reads all others, films
included. Both are read in blocks, each averaged over all its channels and resampled at once, so that an hour of sound costs
its 230 MB at 16 kHz and little more.
"""

import contextlib
import re
import struct
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from stages.audio.ffmpeg_binary import find_ffmpeg
from stages.audio.resampling import resample_blocks
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError

SAMPLE_RATE_HZ = 16_000
MIN_DURATION_S = 0.05
SILENCE_PEAK = 1e-4  # -80 dB of full scale: below the noise of any microphone

# WAV, RF64, AIFF, AU, FLAC, Ogg, CAF, W64. MP3 goes to ffmpeg: libsndfile's reader prints its own warnings.
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"fLaC", b"OggS", b"caff", b"riff")
_BLOCK_FRAMES = 1 << 18
_RATES_HZ = range(1_000, 1_000_000)
# How ffmpeg's demuxers say that a file ends before its own header says it should.
_CUT_SHORT = re.compile(
    r"moov atom not found|partial file|ended prematurely|corrupt input packet|filesize and duration do not match"
)
# libsndfile's log of a header whose size disagrees with the file: "data : 529200 (should be 264578)".
_DECLARED_SIZE = re.compile(r":\s*(\d+) \(should be (\d+)\)")
_UNKNOWN_SIZE = 0x7FFF_F000  # written by programs that stream and cannot come back to fill in the size


def load_waveform(path: Path) -> NDArray[np.float32]:
    """Reads the sound of any audio or video file.

    Args:
        path: the file; its content decides how it is read, not its name.

    Returns:
        (S,) float32, mono (the mean of all channels), 16 kHz, within -1..1; louder float samples are scaled down as a whole.

    Raises:
        ThunderError: missing, a folder, empty, cut short, not a sound, NaN or infinity in it, or under 50 ms long.
    """
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted a sound file")
    if not path.exists():
        raise ThunderError(f"{path}: no such file, wanted a sound file")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ThunderError(f"{path}: cannot be read ({error.strerror})") from error
    if not magic:
        raise ThunderError(f"{path}: the file is empty; record or copy it again")
    with contextlib.ExitStack() as stack:
        opened = _open_with_soundfile(path, stack) if magic in _SOUNDFILE_MAGIC else None
        rate_hz, blocks = opened or _open_with_ffmpeg(path, stack)
        if rate_hz not in _RATES_HZ:
            raise ThunderError(f"{path}: sample rate {rate_hz} Hz, wanted 1 kHz to 1 MHz; its header is damaged")
        mono = _downmixed(path, rate_hz, blocks)
        parts = list(resample_blocks(mono, rate_hz, SAMPLE_RATE_HZ))
    return checked_waveform(str(path), np.concatenate([np.zeros(0, np.float32), *parts]))


def checked_waveform(where: str, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Refuses a 16 kHz waveform (S,) that is too short or not finite, and scales down one louder than full scale.

    Raises:
        ThunderError: see above; the message begins with `where`.
    """
    if not np.isfinite(waveform).all():
        at_s = int(np.flatnonzero(~np.isfinite(waveform))[0]) / SAMPLE_RATE_HZ
        raise ThunderError(f"{where}: NaN or infinity in the sound at {at_s:.3f} s; export the recording again")
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    if duration_s < MIN_DURATION_S:
        raise ThunderError(
            f"{where}: {1000 * duration_s:.0f} ms of sound, wanted at least {1000 * MIN_DURATION_S:.0f} ms; "
            f"give a longer recording"
        )
    peak = max(float(waveform.max()), -float(waveform.min()))
    return waveform / np.float32(peak) if peak > 1.0 else waveform


def is_silent(waveform: NDArray[np.float32]) -> bool:
    """Whether a waveform (S,) in -1..1 never rises above -80 dB of full scale."""
    return not len(waveform) or float(np.abs(waveform).max()) < SILENCE_PEAK


def check_spoken(samples: NDArray[np.int16], where: str) -> None:
    """Refuses sound (S,) from which nothing could be learned, and by which nothing could be judged.

    Raises:
        ThunderError: it is silent; the message begins with `where`.
    """
    if is_silent(to_float(samples)):
        raise ThunderError(f"{where} has no speech, its sound is silent; preprocess the corpus with its sound")


def to_int16(waveform: NDArray[np.floating]) -> NDArray[np.int16]:
    """Full scale 1.0 as 16-bit samples, louder ones clipped; undone by `to_float`."""
    return np.clip(np.round(waveform * 32768.0), -32768, 32767).astype(np.int16)


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """16-bit samples as float32 in -1..1."""
    return samples.astype(np.float32) / np.float32(32768.0)


def write_wav(path: Path, waveform: NDArray[np.generic], rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Writes 16-bit mono WAV; the file appears under its name only when it is whole, and replaces an existing one.

    Args:
        path: file to write.
        waveform: (S,) float in -1..1, or int16.
        rate_hz: its sample rate.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    with whole_or_none(path) as partial, partial.open("wb") as file:
        stream_wav(file, waveform, rate_hz)


def stream_wav(file: IO[bytes], waveform: NDArray[np.generic], rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Writes 16-bit mono WAV to an open file; the arguments are those of `write_wav`."""
    samples = waveform if waveform.dtype == np.int16 else to_int16(waveform.astype(np.float32))
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples.astype("<i2").tobytes())


def _downmixed(path: Path, rate_hz: int, blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Means (n,) over the channels of blocks (n, channels), checked to be finite."""
    num_read = 0
    for block in blocks:
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            at_s = (num_read + int(np.argmin(finite))) / rate_hz
            raise ThunderError(f"{path}: NaN or infinity in the sound at {at_s:.3f} s; export the recording again")
        num_read += len(block)
        yield block.mean(axis=1, dtype=np.float32)


def _cut_short(path: Path, found_s: float | None = None, promised_s: float | None = None) -> ThunderError:
    lengths = "" if found_s is None else f" ({found_s:.2f} s of the {promised_s:.2f} s that its header promises)"
    return ThunderError(f"{path}: cut short or damaged{lengths}; copy or record it again")


def _open_with_soundfile(path: Path, stack: contextlib.ExitStack) -> tuple[int, Iterator[NDArray[np.float32]]] | None:
    """Sample rate and blocks (n, channels), or None if libsndfile cannot read the file."""
    import soundfile

    try:
        # A raw descriptor instead of the name, so that no extension decides anything.
        file = stack.enter_context(soundfile.SoundFile(stack.enter_context(path.open("rb")).fileno(), closefd=False))
    except soundfile.LibsndfileError:
        return None
    for declared, actual in _DECLARED_SIZE.findall(file.extra_info):
        found_s = file.frames / file.samplerate
        if int(actual) < int(declared) < _UNKNOWN_SIZE and int(actual):
            promised_s = found_s * int(declared) / int(actual)
            if promised_s - found_s > MIN_DURATION_S:
                raise _cut_short(path, found_s, promised_s)

    def blocks() -> Iterator[NDArray[np.float32]]:
        num_read = 0
        try:
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                num_read += len(block)
                yield block
        except soundfile.LibsndfileError as error:
            raise _cut_short(path) from error
        if file.frames - num_read > MIN_DURATION_S * file.samplerate:
            raise _cut_short(path, num_read / file.samplerate, file.frames / file.samplerate)

    return file.samplerate, blocks()


def _open_with_ffmpeg(path: Path, stack: contextlib.ExitStack) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """Sample rate and blocks (n, channels) of the first sound track, as ffmpeg decodes it."""
    import ffmpeg

    # Sun AU is the simplest stream that says its own rate and channels; ffmpeg's own downmix would weigh channels and
    # drop some. `file:` keeps a name with a colon from being read as a protocol.
    source = ffmpeg.input(f"file:{path}", protocol_whitelist="file")
    output = source.output("pipe:", map="0:a:0", format="au", acodec="pcm_f32be")
    command = ffmpeg.compile(output.global_args("-nostdin", "-loglevel", "warning"), cmd=find_ffmpeg())
    talk = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    process = stack.enter_context(
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=talk)
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    pipe = process.stdout

    def explain() -> ThunderError | None:
        returned = process.wait()
        talk.seek(0)
        said = talk.read().decode("utf-8", "replace")
        if _CUT_SHORT.search(said):
            return _cut_short(path)
        if "matches no streams" in said:
            return ThunderError(f"{path}: no sound in it; wanted an audio file, or a film with a sound track")
        return (
            ThunderError(f"{path}: not a sound file, or a damaged one; wanted any audio or video") if returned else None
        )

    header = pipe.read(24)
    if len(header) < 24:
        raise explain() or ThunderError(f"{path}: no sound in it")
    magic, data_offset, _, encoding, rate_hz, num_channels = struct.unpack(">4s5I", header)
    if magic != b".snd" or encoding != 6 or not num_channels:
        raise ThunderError(f"{path}: ffmpeg answered with a stream that cannot be read")
    pipe.read(data_offset - 24)

    def blocks() -> Iterator[NDArray[np.float32]]:
        frame_bytes = 4 * num_channels
        while data := pipe.read(_BLOCK_FRAMES * frame_bytes):
            whole = len(data) - len(data) % frame_bytes
            yield np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, num_channels)
        if error := explain():
            raise error

    return rate_hz, blocks()
