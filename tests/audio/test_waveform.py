import errno
import subprocess
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stages.audio.ffmpeg_binary import find_ffmpeg
from stages.audio.waveform import is_silent, load_waveform, to_float, to_int16, write_wav
from stages.runtime.errors import ThunderError


def tone(rate_hz: int, seconds: float = 0.5, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate_hz * seconds)) / rate_hz)


def run_ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([find_ffmpeg(), "-y", "-loglevel", "error", *map(str, arguments)], check=True)


def refusal(path: Path) -> str:
    with pytest.raises(ThunderError) as caught:
        load_waveform(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_bit_depth_comes_back(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000, subtype=subtype)
    found = load_waveform(tmp_path / "a.wav")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tone(16_000), atol={"PCM_U8": 0.01, "ULAW": 0.02}.get(subtype, 1e-4))


@pytest.mark.parametrize("suffix", ["flac", "ogg", "aiff", "au", "caf", "w64"])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_formats_that_libsndfile_reads(tmp_path: Path, suffix: str, rate_hz: int) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([tone(rate_hz)] * 2, axis=1), rate_hz)
    found = load_waveform(path)
    assert len(found) == 8_000
    np.testing.assert_allclose(found[500:-500], tone(16_000)[500:-500], atol=0.06)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "opus", "webm", "wma", "mka"])
def test_formats_that_ffmpeg_reads(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(48_000), 48_000)
    path = tmp_path / f"a.{suffix}"
    run_ffmpeg("-i", tmp_path / "a.wav", path)
    found = load_waveform(path)
    assert len(found) == pytest.approx(8_000, abs=1_200)  # codecs pad to whole frames
    spectrum = np.abs(np.fft.rfft(found[1_000:7_000]))
    assert spectrum.argmax() * 16_000 / 6_000 == pytest.approx(440.0, abs=5.0)


def test_the_sound_of_a_film(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(44_100, 1.0), 44_100)
    film = tmp_path / "ein film: für uns.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=red:d=1:s=64x64", "-i", tmp_path / "a.wav", film)
    found = load_waveform(film)
    assert len(found) == pytest.approx(16_000, abs=800)
    assert not is_silent(found)


def test_an_mp3_named_wav(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(44_100), 44_100)
    run_ffmpeg("-i", tmp_path / "a.wav", tmp_path / "a.mp3")
    (tmp_path / "a.mp3").replace(tmp_path / "b.wav")
    assert len(load_waveform(tmp_path / "b.wav")) == pytest.approx(8_000, abs=10)


@pytest.mark.parametrize("num_channels", [1, 2, 6, 7])
def test_every_channel_counts_the_same(tmp_path: Path, num_channels: int) -> None:
    for loud in range(num_channels):
        sound = np.zeros((8_000, num_channels))
        sound[:, loud] = tone(16_000)
        soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
        np.testing.assert_allclose(load_waveform(tmp_path / "a.wav"), tone(16_000) / num_channels, atol=1e-6)


def test_every_channel_counts_the_same_through_ffmpeg(tmp_path: Path) -> None:
    # ffmpeg's own downmix would drop the fourth channel of 5.1, the bass.
    for loud in (0, 3, 5):
        sound = np.zeros((8_000, 6))
        sound[:, loud] = tone(16_000)
        soundfile.write(tmp_path / "a.wav", sound, 16_000)
        run_ffmpeg("-i", tmp_path / "a.wav", "-acodec", "alac", tmp_path / "a.m4a")
        found = load_waveform(tmp_path / "a.m4a")
        np.testing.assert_allclose(found[:8_000], tone(16_000) / 6, atol=1e-3)


def test_louder_than_full_scale_is_scaled_not_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 6 * tone(16_000), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(load_waveform(tmp_path / "a.wav"), 2 * tone(16_000), atol=1e-3)


def test_a_wav_that_was_streamed_and_does_not_know_its_length(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(16_000))
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(content)
    assert len(load_waveform(tmp_path / "a.wav")) == 8_000


def test_memory_is_that_of_the_result_and_little_more(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 44_100, 2) as file:
        for _ in range(180):
            file.write(np.stack([tone(44_100, 1.0)] * 2, axis=1))
    tracemalloc.start()
    found = load_waveform(tmp_path / "a.wav")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 180 * 16_000
    assert peak < 2.5 * found.nbytes + 64e6  # read at once it would take 63.5 MB twice over, and the blocks


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "flac", "w64", "caf"])
def test_cut_short(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 32_000), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short or damaged" in refusal(path)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "mp4", "webm"])
def test_cut_short_where_ffmpeg_reads(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 44_100 * 3), 44_100)
    path = tmp_path / f"b.{suffix}"
    run_ffmpeg("-i", tmp_path / "a.wav", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short or damaged" in refusal(path)


def test_what_is_no_sound(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.wav")
    assert "a folder" in refusal(tmp_path)
    (tmp_path / "empty.wav").touch()
    assert "empty" in refusal(tmp_path / "empty.wav")
    for name in ("text.wav", "text.mp3", "text.raw"):
        (tmp_path / name).write_text("This is a letter, not a sound.\n" * 200)
        assert "sound" in refusal(tmp_path / name)
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(50_000))
    assert "not a sound file" in refusal(tmp_path / "noise.wav")
    run_ffmpeg("-f", "lavfi", "-i", "color=red:d=1:s=64x64", tmp_path / "mute.mp4")
    assert "no sound in it" in refusal(tmp_path / "mute.mp4")


def test_too_short_says_how_short(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(16_000, 0.01))
    assert "10 ms of sound, wanted at least 50 ms" in refusal(tmp_path / "a.wav")
    write_wav(tmp_path / "b.wav", np.zeros(0))
    assert "0 ms of sound" in refusal(tmp_path / "b.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_placed(tmp_path: Path, bad: float) -> None:
    sound = np.stack([tone(44_100, 1.0)] * 2, axis=1)
    sound[22_050, 1] = bad
    soundfile.write(tmp_path / "a.wav", sound, 44_100, subtype="FLOAT")
    assert "NaN or infinity in the sound at 0.500 s" in refusal(tmp_path / "a.wav")


def test_silence_is_allowed_and_known(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(8_000))
    assert is_silent(load_waveform(tmp_path / "a.wav"))
    assert not is_silent(np.full(100, 0.001, "f4"))


def test_int16_round_trip() -> None:
    samples = np.arange(-32_768, 32_768, dtype="i2")
    np.testing.assert_array_equal(to_int16(to_float(samples)), samples)
    np.testing.assert_array_equal(to_int16(np.array([-2.0, 0.0, 2.0])), [-32_768, 0, 32_767])


def test_write_wav_replaces_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, np.array([100, -100], "i2"), 48_000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes()) == (48_000, 1, 2, 2)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(wave.Wave_write, "writeframes", full_disk)
    with pytest.raises(ThunderError, match="the disk is full"):
        write_wav(path, tone(16_000))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
