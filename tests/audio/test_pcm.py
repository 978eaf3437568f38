"""PCM from a pipe: every sample however it is cut, and what is no PCM is said."""

import io

import numpy as np
import pytest

from stages.audio.pcm import PcmStream
from stages.audio.resampling import resample
from stages.audio.waveform import to_float
from stages.runtime.errors import ThunderError
from tests.builders import small_waveform


class Dripping(io.BytesIO):
    """Gives a few bytes at a time, odd numbers of them too, as a pipe does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size or 0))


def test_samples_come_as_they_are_however_the_pipe_cuts_them() -> None:
    samples = small_waveform(1001)
    for source in (io.BytesIO(samples.tobytes()), Dripping(samples.tobytes())):
        stream = PcmStream(source)
        assert np.array_equal(np.concatenate(list(stream)), to_float(samples))
        assert not stream.ended_inside_a_sample


def test_other_rates_are_resampled() -> None:
    samples = small_waveform(9600)
    found = np.concatenate(list(PcmStream(Dripping(samples.tobytes()), 48_000)))
    np.testing.assert_allclose(found, resample(to_float(samples), 48_000, 16_000), atol=1e-6)


@pytest.mark.parametrize("num_bytes", [3, 9, 2001])
def test_half_a_sample_at_the_end_is_noticed(num_bytes: int) -> None:
    stream = PcmStream(io.BytesIO(small_waveform(2000).tobytes()[:num_bytes]))
    assert sum(map(len, stream)) == num_bytes // 2
    assert stream.ended_inside_a_sample


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "empty"), (b"x", "empty"), (b"RIFF\x00\x00\x00\x00WAVE", "a WAV file"), (b"fLaC\x00\x00", "a FLAC file")],
)
def test_what_is_no_pcm(data: bytes, says: str) -> None:
    with pytest.raises(ThunderError, match=f"standard input: {says}"):
        list(PcmStream(io.BytesIO(data)))


def test_one_sample_is_enough_and_rates_have_a_range() -> None:
    assert list(map(len, PcmStream(io.BytesIO(b"\x00\x40")))) == [1]
    with pytest.raises(ThunderError, match="--rate wanted 8000 to 192000 Hz, found 16"):
        PcmStream(io.BytesIO(b""), 16)
