import numpy as np
import pytest

from stages.corpora.lag import LagEstimate, lip_opening
from tests.builders import small_head


def speech(seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise (S,) whose loudness swells irregularly, and that loudness at 1000 Hz."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0.0, 1.0, int(seconds * 6) + 2)
    loudness = np.interp(np.arange(int(seconds * 1000)) / 1000 * 6, np.arange(len(knots)), knots)
    waveform = 0.3 * np.repeat(loudness, 16) * rng.normal(size=len(loudness) * 16)
    return waveform.astype("f4"), loudness


@pytest.mark.parametrize("late_ms", [-120, -40, 0, 60, 200])
@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_a_known_lag_is_found(late_ms: int, fps: float) -> None:
    lag = LagEstimate()
    for seed in range(6):
        waveform, loudness = speech(6.0, seed)
        at = np.arange(int(6.0 * fps)) / fps * 1000 - late_ms
        lag.add(waveform, np.interp(at, np.arange(len(loudness)), loudness).astype("f4"), fps)
    peak = lag.peak()
    assert peak is not None
    assert peak[0] == pytest.approx(late_ms, abs=12)
    assert peak[1] > max(0.5, lag.clear_from())


def test_unrelated_sound_and_lips_have_no_clear_lag() -> None:
    clear = 0
    for seed in range(20):
        lag = LagEstimate()
        for clip in range(4):
            waveform, _ = speech(5.0, 100 * seed + clip)
            _, other = speech(5.0, 100 * seed + clip + 50)
            lag.add(waveform, other[::40].astype("f4"), 25.0)
        peak = lag.peak()
        assert peak is not None
        clear += peak[1] >= lag.clear_from()
    assert clear <= 1


def test_more_speech_tells_smaller_correlations_from_chance() -> None:
    assert LagEstimate().clear_from() == 1.0
    assert LagEstimate(weight=100 * 3.0).clear_from() == 1.0
    assert LagEstimate(weight=100 * 25.0).clear_from() == pytest.approx(0.4)
    assert LagEstimate(weight=100 * 3600.0).clear_from() == pytest.approx(0.2)


def test_nothing_to_say() -> None:
    lag = LagEstimate()
    lag.add(np.ones(8_000, "f4"), np.ones(12, "f4"), 25.0)  # too short
    lag.add(np.ones(64_000, "f4"), np.ones(100, "f4"), 25.0)  # nothing moves
    assert lag.peak() is None


def test_lips_open_with_the_jaw() -> None:
    head = small_head()
    motion = np.zeros((3, len(head.features)), "f4")
    motion[:, head.features.index("jawOpen")] = [0.0, 0.5, 1.0]
    opening = lip_opening(head, motion)
    assert opening is not None
    assert (np.diff(opening) > 0.005).all()
