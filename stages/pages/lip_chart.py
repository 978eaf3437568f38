"""How far the lips are open while what is said: curves over the phones of a clip, and the faces below, on one axis of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from stages.artifacts.clips import SAMPLE_RATE_HZ, Clip, Phone
from stages.heads.head import Head
from stages.metrics.faces import Face
from stages.metrics.visemes import LIPS_CLOSED, viseme_of, without_stress
from stages.pages import charts
from stages.pages.pictures import embedded, lip_gap
from stages.rendering.studio import PANEL_ASPECT, Panel, Shoot, Studio

# A phone is about 80 ms: wide enough for its label.
_UNITS_PER_S = 200
# What is longer is shown to here.
MOST_SECONDS = 10.0
_LEFT, _PLOT_HEIGHT, _LANE, _SOUND = 40, 140, 17, 26
_PICTURE_HEIGHT = 100


@dataclass(frozen=True)
class Voice:
    """One file's takes of a clip, or what was recorded.

    Attributes:
        name: of the file; `recorded`.
        colour: of its curve, counted from 0; None for what was recorded.
        motion: (N, T, D).
        template: (V, 3).
        exact: (T, V, 3), recorded vertices that stand for the motion.
    """

    name: str
    colour: int | None
    head: Head
    motion: torch.Tensor
    template: torch.Tensor
    exact: torch.Tensor | None = None

    @property
    def num_frames(self) -> int:
        """T."""
        return self.motion.shape[1]

    def vertices(self, frames: torch.Tensor) -> torch.Tensor:
        """All vertices of the first take at some frames (t, V, 3), without head pose."""
        if self.exact is not None:
            return self.exact[frames]
        return self.head.vertices(self.motion[0, frames], template=self.template, pose=False)

    def opening(self) -> NDArray[np.float64]:
        """How far the lips are apart (N, T), head units."""
        gap = lip_gap(Face(self.head, self.motion, self.template, self.exact)).double().numpy()
        return np.atleast_2d(gap)


def lip_chart(clip: Clip, voices: Sequence[Voice], studio: Studio, unit: str, factor: float) -> Markup:
    """The drawing.

    Args:
        clip: whose sound, phones and rate are shown.
        voices: whose lips; of several takes the first is a line and all are a band.
        studio: draws the heads; panels of twice the size that they are shown at.
        unit: of the opening.
        factor: from head units to it.
    """
    seconds = min(MOST_SECONDS, clip.num_frames / clip.fps)
    width = _LEFT + max(300.0, seconds * _UNITS_PER_S) + 8
    across = charts.Axis(0.0, seconds, _LEFT, width - 8)
    parts, top = charts.legend([(voice.name, voice.colour) for voice in voices], _LEFT, width)
    openings = [voice.opening()[:, : max(2, round(seconds * clip.fps))] * factor for voice in voices]
    up = charts.axis([v for o in openings for v in (o.min(), o.max())], top + _PLOT_HEIGHT, top, zero=True)
    phones = [p for p in clip.phones if p.start_s < seconds]
    lanes = top + _PLOT_HEIGHT
    parts += _phones(phones, across, top, lanes)
    parts += charts.horizontal_grid(up, _LEFT, width - 8)
    parts.append(charts.text(2, 12, unit, "tick"))
    for voice, opening in zip(voices, openings, strict=True):
        x = np.array([across.at(t / clip.fps) for t in range(opening.shape[1])])
        low, high, first = ([up.at(v) for v in values] for values in (opening.min(0), opening.max(0), opening[0]))
        if len(opening) > 1:
            band = np.concatenate([low, high[::-1]])
            label = f"{voice.name}, {len(opening)} takes"
            style = f"violin fill c{(voice.colour or 0) % charts.NUM_COLOURS}"
            parts.append(charts.path(np.concatenate([x, x[::-1]]), band, style, label, closed=True))
        parts.append(charts.path(x, np.array(first), charts.line_style(voice.colour), voice.name))
    bottom = lanes + (2 * _LANE if phones else 0)
    parts += _sound(clip, across, bottom + _SOUND / 2, seconds)
    for tick in across.ticks(max(4, round(seconds * 4))):
        parts.append(charts.text(across.at(tick), bottom + _SOUND + 12, f"{tick:g} s", "tick", "middle"))
    bottom += _SOUND + 20
    for voice in voices:
        parts += _faces(clip, voice, studio, across, bottom)
        bottom += _PICTURE_HEIGHT + 20
    return charts.svg(width, bottom, f"lip opening of {clip.id}", parts, fixed=True)


def _phones(phones: Sequence[Phone], across: charts.Axis, top: float, lanes: float) -> list[Markup]:
    """Labels in two lanes by turns, and marks through the plot where the lips should close."""
    parts = []
    for k, phone in enumerate(phones):
        start, end = across.at(max(phone.start_s, across.low)), across.at(min(phone.end_s, across.high))
        closed = viseme_of(phone.label) == LIPS_CLOSED
        title = f"{phone.label} {phone.start_s:.2f} to {phone.end_s:.2f} s"
        if closed:
            parts.append(charts.box(start, top, end - start, lanes - top, "mark", title))
        y = lanes + _LANE * (k % 2)
        parts.append(charts.box(start, y, end - start, _LANE - 2, "closed" if closed else "phone", title))
        parts.append(charts.text((start + end) / 2, y + 11, without_stress(phone.label), "", "middle"))
    return parts


def _sound(clip: Clip, across: charts.Axis, middle: float, seconds: float) -> list[Markup]:
    """The outline of the sound, 10 ms at a time, its loudest filling the lane."""
    hop = SAMPLE_RATE_HZ // 100
    num = int(min(len(clip.waveform) / SAMPLE_RATE_HZ, seconds) * 100)
    if num < 2:
        return []
    peaks = np.abs(clip.waveform[: num * hop].astype(float)).reshape(num, hop).max(1)
    half = peaks / (peaks.max() or 1.0) * (_SOUND / 2 - 1)
    x = np.array([across.at((k + 0.5) / 100) for k in range(num)])
    outline = np.concatenate([middle - half, (middle + half)[::-1]])
    return [charts.path(np.concatenate([x, x[::-1]]), outline, "sound", "sound", closed=True)]


def _faces(clip: Clip, voice: Voice, studio: Studio, across: charts.Axis, top: float) -> list[Markup]:
    """The first take as a row of pictures, each centred below its time."""
    width = _PICTURE_HEIGHT * PANEL_ASPECT
    count = int((across.end - across.start) // width)
    pitch = (across.end - across.start) / count
    times = [(k + 0.5) * pitch * across.high / (across.end - across.start) for k in range(count)]
    frames = [min(clip.num_frames - 1, round(time * clip.fps)) for time in times]
    exact = None if voice.exact is None else voice.exact.numpy()
    panel = Panel(voice.name, "", voice.motion[0], voice.template, vertices=exact)
    pictures = np.concatenate(list(Shoot(studio, clip.id, [panel]).runs(frames)))[:, 0]
    label = voice.name if voice.colour is None else f"{voice.name}, take 0"
    style = "" if voice.colour is None else f"c{voice.colour % charts.NUM_COLOURS}"
    parts = [charts.text(_LEFT, top + 12, label, style)]
    for k, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        x = across.start + (k + 0.5) * pitch - width / 2
        title = f"{label}, {frame / clip.fps:.2f} s"
        parts.append(embedded(picture, x, top + 16, width, _PICTURE_HEIGHT, title))
    return parts
