"""Apple's Live Link Face CSV: 52 ARKit curves, head rotation and eye angles, one row a frame.

    Timecode,BlendShapeCount,EyeBlinkLeft,...,TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,...,RightEyeRoll
    00:00:00:00.000,61,0.0123,...

A timecode is `HH:MM:SS:FF.mmm`: hours, minutes, seconds, frames, thousandths of a frame. The file does not say how many
frames a second has. The reader takes the highest frame number seen plus one, and so the writer makes sure that the highest
one and the step to the next second occur: a clip of a second or less starts on the last frame of second 0.

Columns are matched by name, so their order and the case of their first letter do not matter. Numbers are written with nine
significant digits: a float32 comes back bit for bit.
"""

import csv
import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.heads.arkit import ARKIT_FEATURES
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError

EYE_ANGLES = ("leftEyeYaw", "leftEyePitch", "leftEyeRoll", "rightEyeYaw", "rightEyePitch", "rightEyeRoll")
_FEATURES = (*ARKIT_FEATURES, *EYE_ANGLES)
# Rotation of an eyeball at eyeLook = 1, radians: about the most an eye turns without the head following.
EYE_YAW_RANGE = math.radians(35)
EYE_PITCH_RANGE = math.radians(30)

_TIMECODE = re.compile(r"^(\d{1,2}):(\d{2}):(\d{2}):(\d{1,3}(?:\.\d+)?)$")
# A measured rate this close to one of these is that rate; the nearest two of them differ by 1e-3.
_COMMON_FPS = (24 / 1.001, 24.0, 25.0, 30 / 1.001, 30.0, 48.0, 50.0, 60 / 1.001, 60.0, 90.0, 100.0, 120.0)
_FPS_TOLERANCE = 3e-4


def capitalised(feature: str) -> str:
    """The column name of a feature: `jawOpen` is written `JawOpen`."""
    return feature[0].upper() + feature[1:]


def eye_angles(motion: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotation of the eyeballs that goes with the eyeLook curves.

    Args:
        motion: (T, 55), columns as in `ARKIT_FEATURES`.

    Returns:
        (T, 6) radians, columns as in `EYE_ANGLES`: yaw is positive to the subject's left, pitch positive downwards, as
        for the head; roll is 0.
    """
    column = {name: motion[:, k] for k, name in enumerate(ARKIT_FEATURES)}
    angles = np.zeros((len(motion), 6), np.float32)
    angles[:, 0] = (column["eyeLookOutLeft"] - column["eyeLookInLeft"]) * EYE_YAW_RANGE
    angles[:, 1] = (column["eyeLookDownLeft"] - column["eyeLookUpLeft"]) * EYE_PITCH_RANGE
    angles[:, 3] = (column["eyeLookInRight"] - column["eyeLookOutRight"]) * EYE_YAW_RANGE
    angles[:, 4] = (column["eyeLookDownRight"] - column["eyeLookUpRight"]) * EYE_PITCH_RANGE
    return angles


def write_live_link_face(path: Path, motion: NDArray[np.float32], fps: float) -> None:
    """Writes a motion as Live Link Face CSV; every row carries every curve.

    Args:
        path: file to write; an existing one is replaced when the new one is whole.
        motion: (T, 55), columns as in `ARKIT_FEATURES`; curves 0..1, head rotation in radians.
        fps: frames per second; frame t is stamped t / fps seconds after frame 0.

    Raises:
        ThunderError: the motion has another shape or is not finite, or the file cannot be written.
    """
    motion = np.asarray(motion, np.float32)
    if motion.ndim != 2 or motion.shape[1] != len(ARKIT_FEATURES) or len(motion) == 0:
        raise ThunderError(f"{path}: wanted motion (T >= 1, {len(ARKIT_FEATURES)}), found {motion.shape}")
    if not np.isfinite(motion).all():
        frame = int(np.flatnonzero(~np.isfinite(motion).all(axis=1))[0])
        raise ThunderError(f"{path}: motion of frame {frame} is not finite; nothing was written")
    base = max(1, round(fps))
    first_frame = 0 if len(motion) > base else base - 1
    with whole_or_none(path) as partial:
        partial.write_text(header() + rows(motion, fps, 0, first_frame), encoding="ascii", newline="\n")


def header() -> str:
    """The first line of a file."""
    return ",".join(["Timecode", "BlendShapeCount", *(capitalised(name) for name in _FEATURES)]) + "\n"


def rows(motion: NDArray[np.float32], fps: float, first: int, first_frame: int) -> str:
    """The lines of some frames of a file.

    Args:
        motion: (t, 55), columns as in `ARKIT_FEATURES`.
        fps: frames per second.
        first: number of the first of these frames, counted from 0.
        first_frame: frame of second 0 that frame 0 is stamped with. Where the length is not known yet, the last one of the
            second: a reader finds the rate then, however short the file becomes.
    """
    values = np.concatenate([motion, eye_angles(motion)], axis=1)
    row = f"%s,{len(_FEATURES)}," + ",".join(["%.9g"] * len(_FEATURES)) + "\n"
    stamps = _timecodes(first, len(motion), fps, first_frame)
    return "".join(row % (stamp, *frame) for stamp, frame in zip(stamps, values.tolist(), strict=True))


def _timecodes(first: int, num_frames: int, fps: float, first_frame: int) -> list[str]:
    base = max(1, round(fps))
    # Thousandths of a timecode frame, in whole numbers: no rounding can carry a frame past its second.
    ticks = np.round(np.arange(first, first + num_frames) * (1000 * base / fps)).astype(np.int64) + 1000 * first_frame
    seconds, ticks = np.divmod(ticks, 1000 * base)
    return [
        f"{s // 3600 % 24:02d}:{s // 60 % 60:02d}:{s % 60:02d}:{k // 1000:02d}.{k % 1000:03d}"
        for s, k in zip(seconds.tolist(), ticks.tolist(), strict=True)
    ]


def read_live_link_face(path: Path, fps: float | None = None) -> tuple[NDArray[np.float32], float]:
    """Reads a Live Link Face CSV, matching columns by name.

    Args:
        path: CSV file.
        fps: frames per second where the timecodes are not to be trusted; otherwise derived from them.

    Returns:
        motion: (T, 55) float32, columns as in `ARKIT_FEATURES`.
        fps: frames per second.

    Raises:
        ThunderError: the file is missing, empty, no CSV, lacks columns, or holds something other than finite numbers.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ThunderError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ThunderError(f"{path}: not a CSV text file ({error})") from error
    # Line numbers are kept beside the rows, so that blank lines do not shift what an error says.
    numbered = [(number, row) for number, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    if len(numbered) < 2:
        raise ThunderError(f"{path}: wanted a header and at least one frame, found {len(numbered)} lines")
    header = [cell.strip() for cell in numbered[0][1]]
    position = {name[0].lower() + name[1:]: k for k, name in enumerate(header) if name}
    missing = [capitalised(name) for name in ("timecode", *ARKIT_FEATURES) if name not in position]
    if missing:
        listed = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise ThunderError(f"{path}: not a Live Link Face CSV, columns missing: {listed}")
    frames = numbered[1:]
    for number, row in frames:
        if len(row) != len(header):
            raise ThunderError(
                f"{path}, line {number}: wanted {len(header)} columns as in the header, found {len(row)}"
            )
    motion = _numbers(path, frames, header, [position[name] for name in ARKIT_FEATURES])
    return motion, _derived_fps(path, frames, position["timecode"]) if fps is None else float(fps)


def _numbers(
    path: Path, frames: list[tuple[int, list[str]]], header: list[str], wanted: list[int]
) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # reported below, with its line
            motion = np.array([[row[k] for k in wanted] for _, row in frames]).astype(np.float64).astype(np.float32)
    except ValueError:
        motion = None
    if motion is not None and np.isfinite(motion).all():
        return motion
    for number, row in frames:
        for k in wanted:
            try:
                good = abs(float(row[k])) <= float(np.finfo(np.float32).max)
            except ValueError:
                good = False
            if not good:
                raise ThunderError(f"{path}, line {number}: {header[k]} is {row[k]!r}, wanted a finite number")
    raise AssertionError("unreachable: every number was finite")


def _derived_fps(path: Path, frames: list[tuple[int, list[str]]], column: int) -> float:
    parts = []
    for number, row in frames:
        match = _TIMECODE.match(row[column].strip())
        if match is None:
            raise ThunderError(f"{path}, line {number}: timecode {row[column]!r}, wanted HH:MM:SS:FF.mmm")
        parts.append([float(group) for group in match.groups()])
    hours, minutes, seconds, position = np.array(parts).T
    base = math.floor(position.max()) + 1
    times = hours * 3600 + minutes * 60 + seconds + position / base
    times += 86400 * np.cumsum(np.diff(times, prepend=times[0]) < -43200)  # a take over midnight
    backwards = np.flatnonzero(np.diff(times) <= 0)
    if len(backwards):
        raise ThunderError(f"{path}, line {frames[int(backwards[0]) + 1][0]}: timecode does not increase")
    if len(times) == 1:
        return float(base)
    if (seconds == seconds[0]).all():
        raise ThunderError(
            f"{path}: all within one second, so the timecodes do not show how many frames a second has; "
            f"give the frame rate explicitly"
        )
    measured = (len(times) - 1) / (times[-1] - times[0])
    nearest = min(_COMMON_FPS, key=lambda rate: abs(rate - measured))
    return nearest if abs(nearest / measured - 1) < _FPS_TOLERANCE else float(measured)
