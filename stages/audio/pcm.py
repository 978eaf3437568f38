"""Raw samples from a pipe: 16-bit little-endian mono PCM, as they come."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.resampling import resample_blocks
from stages.audio.waveform import to_float
from stages.runtime.errors import ThunderError

RATES_HZ = range(8_000, 192_001)
_BLOCK_BYTES = 1 << 14
# Whole files begin so; as samples their heads would be a crack, and packed sound would be noise.
_FILES = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"FORM": "AIFF", b"ID3\x03": "MP3", b"ID3\x04": "MP3"}


class PcmStream:
    """The samples of a pipe as blocks (n,) float32 in -1..1 at 16 kHz, each handed on when it comes.

    Attributes:
        ended_inside_a_sample: known when the blocks have ended.
    """

    def __init__(self, source: BinaryIO, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        if rate_hz not in RATES_HZ:
            raise ThunderError(f"--rate wanted {RATES_HZ[0]} to {RATES_HZ[-1]} Hz, found {rate_hz}")
        self.source = source
        self.rate_hz = rate_hz
        self.ended_inside_a_sample = False

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Reads to the end.

        Raises:
            ThunderError: the pipe is empty, or holds a file with a header.
        """
        return resample_blocks(self._samples(), self.rate_hz, SAMPLE_RATE_HZ)

    def _samples(self) -> Iterator[NDArray[np.float32]]:
        data, begun = b"", False
        while more := self._read():
            data += more
            if not begun and len(data) < 4:
                continue
            if not begun and data[:4] in _FILES:
                raise ThunderError(
                    f"standard input: a {_FILES[data[:4]]} file, wanted 16-bit mono samples without a header; try "
                    f"`ffmpeg -i FILE -f s16le -ac 1 -ar {self.rate_hz} - | thunder sample -`"
                )
            begun = True
            whole = len(data) // 2 * 2
            yield to_float(np.frombuffer(data[:whole], "<i2"))
            data = data[whole:]
        if not begun:
            if len(data) < 2:
                raise ThunderError("standard input: empty; wanted 16-bit little-endian mono PCM, see --rate")
            yield to_float(np.frombuffer(data[:2], "<i2"))
        self.ended_inside_a_sample = len(data) % 2 == 1

    def _read(self) -> bytes:
        """What has come, at least a byte but at the end: a live sound must not wait for a buffer to fill."""
        if isinstance(self.source, io.BufferedReader):
            return self.source.read1(_BLOCK_BYTES)
        return self.source.read(_BLOCK_BYTES)
