"""Sound and motion of one recording brought to one length and one frame rate."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import SAMPLE_RATE_HZ, Phone
from stages.corpora.corpus import Frames, RawClip
from stages.runtime.errors import ThunderError

# Recorders start and stop their streams a little apart; more than this is another take or a wrong rate.
MAX_MISMATCH_S = 0.1


def align(raw: RawClip, fps: float | None = None, *, allow_mismatch: bool = False) -> tuple[RawClip, str]:
    """Cuts sound and motion to the shorter of the two, at the wanted frame rate.

    Frame t stands at t / fps seconds, so T frames cover T / fps seconds, and the sound is made exactly that long (by at
    most half a frame of zeros, where it is shorter).

    Args:
        raw: a recording.
        fps: wanted frame rate; None keeps the recording's.
        allow_mismatch: cut even where the lengths differ by 100 ms or more.

    Returns:
        The aligned recording, and a remark on what was cut, empty if nothing longer than a frame was.

    Raises:
        ThunderError: the lengths differ by 100 ms or more, or there is less than one frame.
    """
    frames = raw.motion if raw.motion is not None else raw.vertices
    assert frames is not None, "a recording has motion or vertices"
    sound_s, motion_s = len(raw.waveform) / SAMPLE_RATE_HZ, len(frames) / raw.fps
    lengths = f"{sound_s:.3f} s of sound and {motion_s:.3f} s of motion ({len(frames)} frames at {raw.fps:g} fps)"
    if abs(sound_s - motion_s) >= MAX_MISMATCH_S and not allow_mismatch:
        raise ThunderError(
            f"{lengths}: wanted less than {1000 * MAX_MISMATCH_S:.0f} ms apart; give --allow-mismatch to cut to the shorter"
        )
    wanted_fps = fps or raw.fps
    ratio = _ratio(raw.fps, wanted_fps)
    num_frames = min(_num_frames(len(frames), ratio), int(sound_s * wanted_fps + 0.5))
    if num_frames < 1:
        raise ThunderError(f"{lengths}: less than one frame at {wanted_fps:g} fps; leave this recording out")
    num_samples = round(num_frames / wanted_fps * SAMPLE_RATE_HZ)
    waveform = np.pad(raw.waveform[:num_samples], (0, max(0, num_samples - len(raw.waveform))))
    end_s = num_samples / SAMPLE_RATE_HZ
    aligned = replace(
        raw,
        waveform=waveform,
        fps=wanted_fps,
        motion=None if raw.motion is None else at_frame_rate(raw.motion, raw.fps, wanted_fps)[:num_frames],
        vertices=None
        if raw.vertices is None
        else Frames(partial(_retimed, raw.vertices, ratio, num_frames), num_frames),
        phones=tuple(Phone(p.start_s, min(p.end_s, end_s), p.label) for p in raw.phones if p.start_s < end_s),
    )
    cut = abs(sound_s - motion_s) > 1.0 / raw.fps
    return aligned, f"{lengths}, cut to {end_s:.3f} s" if cut else ""


def at_frame_rate(values: NDArray[np.float32], fps: float, wanted_fps: float) -> NDArray[np.float32]:
    """Motion at another frame rate: every n-th frame where the rates allow it, as the field does, else interpolated.

    Args:
        values: (T, ...).
        fps: their frame rate.
        wanted_fps: the wanted one.

    Returns:
        (ceil(T * wanted_fps / fps), ...); values between two frames lie on the straight line between them.
    """
    ratio = _ratio(fps, wanted_fps)
    count = _num_frames(len(values), ratio)
    return _retimed(Frames(values.__getitem__, len(values)), ratio, count, slice(None))


def _ratio(fps: float, wanted_fps: float) -> float:
    """Recorded frames to each wanted one: a whole number where it is nearly one, so that frames are taken as they are."""
    ratio = fps / wanted_fps
    return float(round(ratio)) if round(ratio) >= 1 and abs(ratio - round(ratio)) < 1e-3 else ratio


def _num_frames(num_recorded: int, ratio: float) -> int:
    return int(np.ceil(num_recorded / ratio - 1e-6))


def _retimed(recorded: Frames, ratio: float, num_frames: int, which: slice) -> NDArray[np.float32]:
    """Some of the frames at another rate, where frame t lies at t * ratio of the recorded ones; reads no more than needed."""
    start, stop, step = which.indices(num_frames)
    if ratio.is_integer():
        every = int(ratio)
        return recorded[start * every : max(0, stop - 1) * every + 1 : step * every]
    position = np.minimum(np.arange(start, stop, step) * ratio, len(recorded) - 1)
    before = position.astype(np.int64)
    after = np.minimum(before + 1, len(recorded) - 1)
    first = int(before[0]) if len(before) else 0
    needed = recorded[first : int(after[-1]) + 1 if len(after) else 0]
    weight = (position - before).astype(np.float32).reshape(-1, *[1] * (needed.ndim - 1))
    return needed[before - first] * (1 - weight) + needed[after - first] * weight
