"""Motion at another frame rate, for programs that play 30 or 60 frames a second whatever a clip has."""

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError


def check_frame_rate(fps: float) -> None:
    """Refuses what is no frame rate.

    Raises:
        ThunderError: see above.
    """
    if not 1 <= fps <= 1000:
        raise ThunderError(f"--fps wanted 1 to 1000 frames a second, such as 30 or 60, found {fps:g}")


def at_frame_rate(values: NDArray[np.float32], fps: float, target_fps: float) -> NDArray[np.float32]:
    """Motion of a clip, frame t of which stands at t / fps seconds, read at n / target_fps seconds.

    Between two frames runs the cubic of Catmull and Rom, held between these two frames: it bends as the motion bends, but no
    closed lid opens and no curve leaves its range. No time is shifted: a frame that falls on one of the clip's is that frame.
    After the last one it stays. Going down, frames in between are left out, so that a closure that is seen is a closure.

    Args:
        values: (T, ...).
        fps: of the values.
        target_fps: wanted.

    Returns:
        (N, ...), N / target_fps as near to T / fps seconds as can be; the values themselves where the rates are one.

    Raises:
        ThunderError: a rate that is none.
    """
    check_frame_rate(target_fps)
    if target_fps == fps:
        return values
    last = len(values) - 1
    positions = np.minimum(np.arange(max(1, round(len(values) * target_fps / fps))) * (fps / target_fps), last)
    # 30 / 25 is no number of base two: what falls on a frame, falls on it.
    nearest = np.round(positions)
    positions = np.where(np.abs(positions - nearest) < 1e-6, nearest, positions)
    lower = np.floor(positions).astype(np.int64)
    before, a, b, after = (values[np.clip(lower + k, 0, last)].astype(np.float64) for k in (-1, 0, 1, 2))
    x = (positions - lower).reshape(-1, *[1] * (values.ndim - 1))
    slope_a, slope_b = (b - before) / 2, (after - a) / 2
    cubic = a + x * (slope_a + x * (3 * (b - a) - 2 * slope_a - slope_b + x * (2 * (a - b) + slope_a + slope_b)))
    return np.clip(cubic, np.minimum(a, b), np.maximum(a, b)).astype(np.float32)
