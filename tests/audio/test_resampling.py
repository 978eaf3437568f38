import numpy as np
import pytest
from scipy.signal import resample_poly

from stages.audio.resampling import resample, resample_blocks


def tone(frequency: float, rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(rate_hz * seconds)) / rate_hz).astype("f4")


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_000, 44_100, 48_000, 44_101, 192_000])
def test_a_tone_keeps_its_pitch_place_and_length(rate_hz: int) -> None:
    found = resample(tone(440.0, rate_hz, 1.37), rate_hz, 16_000)
    assert len(found) == np.ceil(round(rate_hz * 1.37) * 16_000 / rate_hz)
    middle = slice(800, -800)
    wanted = np.sin(2 * np.pi * 440.0 * np.arange(len(found)) / 16_000)
    np.testing.assert_allclose(found[middle], wanted[middle], atol=1e-4)


@pytest.mark.parametrize("frequency", [8_300.0, 10_000.0, 15_500.0, 20_000.0])
def test_what_the_output_cannot_carry_is_removed_not_folded(frequency: float) -> None:
    found = resample(tone(frequency, 44_100), 44_100, 16_000)[800:-800]
    level_db = 20 * np.log10(np.sqrt(2 * np.mean(found.astype("f8") ** 2)))
    assert level_db < -40
    assert np.abs(tone(frequency, 44_100)[::3]).max() > 0.9  # what plain decimation would leave


def test_speech_frequencies_pass_unchanged() -> None:
    for frequency in (100.0, 3_000.0, 6_500.0):
        level = np.abs(resample(tone(frequency, 44_100), 44_100, 16_000)[800:-800]).max()
        assert level == pytest.approx(1.0, abs=0.01)


def test_agrees_with_scipy_on_band_limited_noise() -> None:
    smooth = resample_poly(np.random.default_rng(0).normal(size=1_000), 4, 1)  # little above an eighth of the rate
    for up, down in ((2, 1), (3, 7), (160, 441)):
        found = resample(smooth.astype("f4"), 1_000 * down, 1_000 * up)
        wanted = resample_poly(smooth, up, down, window=("kaiser", 8.0))
        assert len(found) == len(wanted)
        edge = len(found) // 10
        np.testing.assert_allclose(found[edge:-edge], wanted[edge:-edge], atol=0.02)


def test_the_cuts_between_blocks_do_not_show() -> None:
    sound = np.random.default_rng(1).normal(size=30_000).astype("f4")
    for cuts in ([1], [5, 6, 7, 20_000], list(range(500, 30_000, 700))):
        blocks = np.concatenate(list(resample_blocks(np.split(sound, cuts), 22_050, 16_000)))
        np.testing.assert_array_equal(blocks, resample(sound, 22_050, 16_000))


def test_a_constant_stays_constant_and_nothing_gives_nothing() -> None:
    np.testing.assert_allclose(resample(np.ones(5_000, "f4"), 44_100, 16_000)[100:-100], 1.0, atol=1e-5)
    assert len(resample(np.zeros(0, "f4"), 44_100, 16_000)) == 0
