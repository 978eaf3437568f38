"""Emotion over time: a small text file of keyframes, between which one emotion passes into the next.

    0.0 neutral
    2.5 happy 0.8      # seconds, emotion, intensity (1 where none is given); blanks or commas between them
    4.0 happy 0.2

or the same as TOML:

    keyframes = [
        { time_s = 0.0, emotion = "neutral" },
        { time_s = 2.5, emotion = "happy", intensity = 0.8 },
    ]
"""

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from stages.runtime.errors import ThunderError


@dataclass(frozen=True)
class Keyframe:
    """What is felt at one moment.

    Attributes:
        time_s: seconds after the start of the speech.
        emotion: its name.
        intensity: 0 to 1.
    """

    time_s: float
    emotion: str
    intensity: float = 1.0


def read_keyframes(path: Path) -> list[Keyframe]:
    """Reads keyframes; a name that ends in `.toml` is TOML, any other is lines.

    Raises:
        ThunderError: a file that cannot be read, has no keyframe, or one that is not understood, out of range, or out of
            order; says which.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ThunderError(
            f"{path}: no such file; wanted keyframes such as `2.5 happy 0.8`, check the path given to --keyframes"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ThunderError(
            f"{path}: cannot be read as text ({error}); wanted keyframes such as `2.5 happy 0.8`"
        ) from None
    rows = _toml_rows(text, path) if path.suffix.lower() == ".toml" else _line_rows(text)
    keyframes = [_keyframe(row, f"{path}: {place}") for place, row in rows]
    if not keyframes:
        raise ThunderError(f"{path}: no keyframe in it; wanted lines such as `2.5 happy 0.8`")
    for before, after in pairwise(keyframes):
        if after.time_s <= before.time_s:
            raise ThunderError(
                f"{path}: keyframe at {after.time_s:g} s stands after that at {before.time_s:g} s; put them in order of time"
            )
    return keyframes


def _line_rows(text: str) -> list[tuple[str, list[str]]]:
    lines = [(f"line {number}", line.partition("#")[0]) for number, line in enumerate(text.splitlines(), start=1)]
    return [(place, re.split(r"[\s,;]+", line.strip())) for place, line in lines if line.strip()]


def _toml_rows(text: str, path: Path) -> list[tuple[str, list[str]]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ThunderError(f"{path}: not TOML ({error})") from None
    entries = table.get("keyframes")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ThunderError(f'{path}: wanted keyframes = [{{ time_s = 0.0, emotion = "neutral" }}, ...]')
    rows = []
    for number, entry in enumerate(entries, start=1):
        unknown = entry.keys() - {"time_s", "emotion", "intensity"}
        if unknown or not {"time_s", "emotion"} <= entry.keys():
            raise ThunderError(
                f"{path}: keyframe {number} wanted time_s, emotion and perhaps intensity, found {', '.join(entry) or 'none'}"
            )
        rows.append(
            (f"keyframe {number}", [str(entry[key]) for key in ("time_s", "emotion", "intensity") if key in entry])
        )
    return rows


def _keyframe(row: list[str], place: str) -> Keyframe:
    try:
        time_s, emotion, intensity = float(row[0]), row[1], float(row[2]) if len(row) > 2 else 1.0
        understood = len(row) <= 3
    except (ValueError, IndexError):
        understood = False
    if not understood:
        raise ThunderError(f"{place}: wanted `seconds emotion [intensity]`, found {' '.join(row)!r}")
    if not (math.isfinite(time_s) and time_s >= 0):
        raise ThunderError(f"{place}: wanted a time of 0 s or later, found {row[0]}")
    if not 0 <= intensity <= 1:
        raise ThunderError(f"{place}: wanted an intensity from 0 to 1, found {row[2]}")
    return Keyframe(time_s, emotion, intensity)


def emotions_at(keyframes: Sequence[Keyframe], times_s: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Shares of each emotion at some times, and shares times intensity.

    Between two keyframes the one gives way to the other at a constant rate; before the first and after the last it stays.

    Args:
        keyframes: in order of time; none means that no emotion is told.
        times_s: (F,).
        names: E, the emotions in order.

    Returns:
        (F, E) each; the shares of a time sum to 1.

    Raises:
        ThunderError: an emotion that is not among the names.
    """
    if not keyframes:
        nothing = times_s.new_zeros(len(times_s), len(names))
        return nothing, nothing
    for keyframe in keyframes:
        if keyframe.emotion not in names:
            raise ThunderError(
                f"emotion {keyframe.emotion!r} is unknown to the model; it knows {', '.join(names) or 'none'}"
            )
    one_hot = torch.eye(len(names), device=times_s.device)[[names.index(k.emotion) for k in keyframes]]  # (K, E)
    intensity = times_s.new_tensor([k.intensity for k in keyframes])
    moments = times_s.new_tensor([k.time_s for k in keyframes])
    after = torch.searchsorted(moments, times_s).clamp(max=len(moments) - 1)
    before = (after - 1).clamp(min=0)
    gap = (moments[after] - moments[before]).clamp_min(1e-9)
    passed = ((times_s - moments[before]) / gap).clamp(0, 1)[:, None]
    strength = one_hot * intensity[:, None]
    return torch.lerp(one_hot[before], one_hot[after], passed), torch.lerp(strength[before], strength[after], passed)
