"""Motion at another frame rate: no phase error, no overshoot, exact where frames meet."""

import numpy as np
import pytest

from stages.formats.frame_rate import at_frame_rate
from stages.runtime.errors import ThunderError


def sine(fps: float, seconds: float = 4.0, hz: float = 3.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * fps)) / fps).astype("f4")[:, None]


@pytest.mark.parametrize(("fps", "target"), [(25, 30), (25, 60), (30, 60), (100, 30), (30 / 1.001, 30)])
def test_the_time_of_a_wave_does_not_move(fps: float, target: float) -> None:
    found, truth = at_frame_rate(sine(fps), fps, target)[3:-3, 0], sine(target)[3:, 0]
    truth = truth[: len(found)]
    assert np.abs(found - truth).max() < 0.05
    # The phase, from the first harmonic: half a degree at 3 Hz is half a millisecond.
    carrier = np.exp(-2j * np.pi * 3.0 * np.arange(len(found)) / target)
    assert abs(np.angle((found * carrier).sum() / (truth * carrier).sum(), deg=True)) < 0.5


@pytest.mark.parametrize(("fps", "target", "frames", "wanted"), [(25, 30, 50, 60), (25, 60, 1, 2), (60, 30, 61, 30)])
def test_the_length_in_seconds_stays(fps: float, target: float, frames: int, wanted: int) -> None:
    assert len(at_frame_rate(np.zeros((frames, 2), "f4"), fps, target)) == wanted


def test_frames_that_meet_are_equal_and_nothing_leaves_the_range_between_its_neighbours() -> None:
    values = np.random.default_rng(0).random((40, 3, 2)).astype("f4")
    faster = at_frame_rate(values, 25, 30)
    assert faster.shape == (48, 3, 2)
    np.testing.assert_array_equal(faster[::6], values[::5])
    lower = np.floor(np.arange(46) * 25 / 30 + 1e-9).astype(int)
    pair = np.stack([values[lower], values[lower + 1]])
    assert (faster[:46] >= pair.min(0)).all()
    assert (faster[:46] <= pair.max(0)).all()
    np.testing.assert_array_equal(faster[47], values[39])
    np.testing.assert_array_equal(at_frame_rate(values, 60, 30), values[::2])
    assert at_frame_rate(values, 25, 25) is values


def test_a_line_stays_a_line() -> None:
    line = np.arange(50, dtype="f4")[:, None]
    np.testing.assert_allclose(at_frame_rate(line, 25, 60)[3:100, 0], np.arange(3, 100) * 25 / 60, atol=1e-5)


@pytest.mark.parametrize("fps", [0.0, -30.0, float("nan"), 1e6])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(ThunderError, match="--fps wanted 1 to 1000 frames a second"):
        at_frame_rate(np.zeros((3, 2), "f4"), 25, fps)
