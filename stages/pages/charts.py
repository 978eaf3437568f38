"""Charts as inline SVG, in the colours of the page; a mark says by its title what it stands for.

Charts that stand side by side are 340 units wide, so that their letters stay readable on a telephone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

WIDTH = 340
NUM_COLOURS = 6
# More dots than this in a row are a blot; the outline of their density then stands alone.
_MOST_DOTS = 200
# A curve with more points than a chart has units is drawn by the means of equal runs.
_MOST_POINTS = 400


@dataclass(frozen=True)
class Spread:
    """A row of a strip chart.

    Attributes:
        name: of the row.
        values: (n,), finite.
        labels: n, one a value.
        mean, low, high: a figure over the values and its interval, NaN where there is none.
    """

    name: str
    values: NDArray[np.floating]
    labels: Sequence[str]
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Curve:
    """A line of a line chart: (n,) of x and y; `colour` counts from 0, None is the truth."""

    name: str
    x: NDArray[np.floating]
    y: NDArray[np.floating]
    colour: int | None = 0


@dataclass(frozen=True)
class Axis:
    """From values to units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within."""
        return ticks(self.low, self.high, about)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, about so many."""
    step = 10.0 ** math.floor(math.log10((high - low) / about))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def axis(values: Iterable[float], start: float, end: float, *, zero: bool = False) -> Axis:
    """An axis over all finite values with a little room, from 0 where wanted."""
    finite = [float(v) for v in values if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    room = 0.04 * (high - low)
    return Axis(low if zero and low == 0 else low - room, high if zero and high == 0 else high + room, start, end)


def svg(width: float, height: float, title: str, parts: Iterable[Markup], *, fixed: bool = False) -> Markup:
    """The drawing; `fixed` keeps its size where a screen is smaller, to be scrolled."""
    size = Markup(' width="{:.0f}" height="{:.0f}"').format(width, height) if fixed else Markup()
    return Markup('<svg viewBox="0 0 {:.0f} {:.0f}"{} role="img" aria-label="{}">{}</svg>').format(
        width, height, size, title, Markup("").join(parts)
    )


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> Markup:
    """A line of text."""
    return Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>').format(
        x, y, style, anchor, words
    )


def rule(x1: float, y1: float, x2: float, y2: float, style: str = "grid") -> Markup:
    """A straight line."""
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(x1, y1, x2, y2, style)


def box(x: float, y: float, width: float, height: float, style: str, title: str = "") -> Markup:
    """A filled rectangle."""
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}"><title>{}</title></rect>'
    ).format(x, y, width, height, style, title)


def path(x: NDArray[np.floating], y: NDArray[np.floating], style: str, title: str, *, closed: bool = False) -> Markup:
    """A line through points of the drawing, broken where one is not finite."""
    good = np.isfinite(x) & np.isfinite(y)
    starts = good & ~np.concatenate([[False], good[:-1]])
    steps = [f"{'M' if s else 'L'}{a:.1f} {b:.1f}" for a, b, g, s in zip(x, y, good, starts, strict=True) if g]
    return Markup('<path d="{}" class="{}"><title>{}</title></path>').format(
        "".join(steps) + ("Z" if closed else ""), style, title
    )


def strip(rows: Sequence[Spread], unit: str, title: str) -> Markup:
    """A row of dots for each spread over the outline of their density, with mean and interval, on one axis."""
    pitch, top, left, right = 52, 2, 16, WIDTH - 16
    along = axis(
        [v for row in rows for v in (*row.values, row.mean, row.low, row.high)], left, right, zero=unit_has_zero(rows)
    )
    bottom = top + pitch * len(rows)
    parts = _vertical_grid(along, top, bottom, unit)
    for k, row in enumerate(rows):
        colour, middle = f"c{k % NUM_COLOURS}", top + pitch * k + 32
        parts.append(text(4, top + pitch * k + 12, row.name, colour))
        if len(row.values) >= 3 and np.ptp(row.values) > 0:
            x, width = _density(row.values)
            x_units = np.array([along.at(v) for v in np.concatenate([x, x[::-1]])])
            outline = np.concatenate([middle - 15 * width, (middle + 15 * width)[::-1]])
            parts.append(path(x_units, outline, f"violin fill {colour}", row.name, closed=True))
        if len(row.values) <= _MOST_DOTS:
            offsets = _side_by_side(np.array([along.at(v) for v in row.values]))
            parts += [
                Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.6" class="dot fill {}"><title>{}</title></circle>').format(
                    along.at(value), middle + offset, colour, f"{label}: {value:.4g} {unit}"
                )
                for value, label, offset in zip(row.values, row.labels, offsets, strict=True)
            ]
        if math.isfinite(row.low):
            parts.append(rule(along.at(row.low), middle, along.at(row.high), middle, f"bar {colour}"))
        if math.isfinite(row.mean):
            parts.append(rule(along.at(row.mean), middle - 10, along.at(row.mean), middle + 10, "mean"))
    return svg(WIDTH, bottom + 30, title, parts)


def unit_has_zero(rows: Sequence[Spread]) -> bool:
    """Whether 0 belongs on the axis: where values come near it, or lie on both sides."""
    values = np.concatenate([row.values for row in rows]) if rows else np.zeros(1)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    least = float(values.min()) if len(values) else 0.0
    return low < 0 < high or least < 0.6 * high


def lines(curves: Sequence[Curve], x_label: str, y_label: str, title: str, *, height: int = 200) -> Markup:
    """Curves on two axes, their names above."""
    shown = [_thinned(curve) for curve in curves]
    left, right, bottom = 46, WIDTH - 14, height - 32
    parts, top = legend([(curve.name, curve.colour) for curve in shown], left, WIDTH - 8)
    across = axis([v for curve in shown for v in curve.x], left, right)
    up = axis([v for curve in shown for v in curve.y], bottom, top)
    parts += _vertical_grid(across, top, bottom, x_label)
    parts += horizontal_grid(up, left, right)
    parts.append(text(2, top + 4, y_label, "tick"))
    for curve in shown:
        x, y = (np.array([a.at(v) for v in values]) for a, values in ((across, curve.x), (up, curve.y)))
        parts.append(path(x, y, line_style(curve.colour), curve.name))
    return svg(WIDTH, height, title, parts)


def bars(rows: Mapping[str, Mapping[str, float]], unit: str, title: str) -> Markup:
    """A lying bar for each row, of parts one after the other; parts of one name have one colour."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    parts, top = legend([(name, k) for k, name in enumerate(names)], 8, WIDTH - 8) if len(names) > 1 else ([], 4)
    longest = max((len(name) for name in rows), default=0)
    left, right, pitch = min(130.0, 14 + 6.2 * longest), WIDTH - 12, 20
    along = axis([sum(row.values()) for row in rows.values()], left, right, zero=True)
    bottom = top + pitch * len(rows)
    parts += _vertical_grid(along, top, bottom, unit)
    for k, (name, row) in enumerate(rows.items()):
        y, start = top + pitch * k, 0.0
        short = name if len(name) <= 18 else name[:17] + "…"
        parts.append(text(left - 5, y + 14, short, "", "end"))
        for part, value in row.items():
            label = f"{name}{', ' + part if len(names) > 1 else ''}: {value:.4g} {unit}"
            width = along.at(start + value) - along.at(start)
            parts.append(box(along.at(start), y + 3, width, pitch - 6, _fill(names.index(part)), label))
            start += value
    return svg(WIDTH, bottom + 30, title, parts)


def histogram(values: NDArray[np.floating], unit: str, title: str, *, height: int = 180) -> Markup:
    """How many values lie where."""
    left, right, top, bottom = 36, WIDTH - 14, 14, height - 32
    edges = np.histogram_bin_edges(values, bins=int(np.clip(2 * len(values) ** (1 / 3), 5, 40)))
    counts, _ = np.histogram(values, edges)
    across, up = axis(edges, left, right), axis(counts, bottom, top, zero=True)
    parts = _vertical_grid(across, top, bottom, unit) + horizontal_grid(up, left, right, whole=True)
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        width = max(1.0, across.at(high) - across.at(low) - 1)
        label = f"{low:.4g} to {high:.4g} {unit}: {count}"
        parts.append(box(across.at(low), up.at(count), width, bottom - up.at(count), _fill(0), label))
    parts.append(text(2, 10, "clips", "tick"))
    return svg(WIDTH, height, title, parts)


def legend(names: Sequence[tuple[str, int | None]], left: float, right: float) -> tuple[list[Markup], float]:
    """Names in the colours of what they name, line after line, and where the lines end; nothing for a single one."""
    if len(names) < 2:
        return [], 14.0
    parts, x, y = [], left, 12.0
    for name, colour in names:
        width = 6.4 * len(name) + 14
        if x > left and x + width > right:
            x, y = left, y + 15
        parts.append(text(x, y, ("━ " if colour is None else "● ") + name, "" if colour is None else _colour(colour)))
        x += width + 8
    return parts, y + 10


def horizontal_grid(up: Axis, left: float, right: float, *, whole: bool = False) -> list[Markup]:
    """Lines across at round values, with the values to their left."""
    parts = []
    for value in up.ticks(4):
        if whole and value != round(value):
            continue
        parts += [
            rule(left, up.at(value), right, up.at(value)),
            text(left - 5, up.at(value) + 4, f"{value:g}", "tick", "end"),
        ]
    return parts


def line_style(colour: int | None) -> str:
    """Class of a curve."""
    return "line truth" if colour is None else f"line {_colour(colour)}"


def _vertical_grid(along: Axis, top: float, bottom: float, unit: str) -> list[Markup]:
    parts = []
    for value in along.ticks():
        x = along.at(value)
        parts += [rule(x, top, x, bottom), text(x, bottom + 13, f"{value:g}", "tick", "middle")]
    parts.append(text(along.end, bottom + 26, unit, "tick", "end"))
    return parts


def _colour(index: int) -> str:
    return f"c{index % NUM_COLOURS}"


def _fill(index: int) -> str:
    return f"fill {_colour(index)}"


def _density(values: NDArray[np.floating], num_points: int = 60) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Where, and how dense the values are there by a normal kernel of Silverman's width, the densest place 1."""
    spread = min(float(values.std()), float(np.subtract(*np.percentile(values, (75, 25)))) / 1.34) or float(
        values.std()
    )
    width = 0.9 * spread * len(values) ** -0.2
    x = np.linspace(values.min(), values.max(), num_points)
    density = np.exp(-0.5 * ((x[:, None] - values) / width) ** 2).sum(1)
    return x, density / density.max()


def _side_by_side(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Offsets (n,) that part dots which would lie on each other: 0, 4, -4, 8, ... within a column of 5 units."""
    column = np.floor(x / 5).astype(int)
    order = np.argsort(column, kind="stable")
    _, first = np.unique(column[order], return_index=True)
    rank = np.empty(len(x), int)
    rank[order] = np.arange(len(x)) - np.repeat(first, np.diff([*first, len(x)]))
    offset = (rank + 1) // 2 * 4.0 * np.where(rank % 2, 1, -1)
    return np.clip(offset, -14, 14)


def _thinned(curve: Curve) -> Curve:
    run = math.ceil(len(curve.x) / _MOST_POINTS)
    if run <= 1:
        return curve
    keep = len(curve.x) // run * run
    x, y = (values[:keep].reshape(-1, run).mean(1) for values in (curve.x, curve.y))
    return Curve(curve.name, x, y, curve.colour)
