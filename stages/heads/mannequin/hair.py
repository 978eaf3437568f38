"""Short hair: a hairline of two rows of vertices that hold a clean edge, and how far the skin behind it is raised.

Millimetres, left half. The hairline is given by azimuth from the front and polar angle from the crown about the middle of
the head: forehead, temple, sideburn, over the ear, behind it, nape.
"""

import numpy as np

from stages.heads.mannequin import surface
from stages.heads.mannequin.surface import HEAD_CENTRE, catmull_rom

_LINE = np.array(
    [
        # azimuth, polar angle, degrees
        [0.0, 50.0],
        [14.0, 49.5],
        [28.0, 47.5],
        [41.0, 48.5],
        [54.0, 55.5],
        [65.0, 66.5],
        [73.0, 79.0],
        [79.0, 87.0],
        [86.0, 88.0],
        [91.5, 80.5],
        [96.0, 74.5],
        [101.0, 71.5],
        [107.0, 71.0],
        [113.0, 74.0],
        [118.5, 83.0],
        [123.0, 94.0],
        [131.0, 107.0],
        [143.0, 116.0],
        [161.0, 120.0],
        [180.0, 121.0],
    ]
)
_SPACING = 6.0
_EDGE = 2.0  # between the two rows
_RADIUS = 100.0  # turns angles into lengths on the head, roughly
ROOT_HEIGHT, FULL_HEIGHT, RISE = 1.2, 5.0, 9.0
_ON_TOP = 4.5  # more on the crown than at the sides


def _flat(azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """Lengths (..., 2) in mm along azimuth and polar angle, near the hairline."""
    return _RADIUS * np.stack([azimuth * np.sin(np.clip(polar, 0.6, 2.4)), polar], -1)


def _dense_line() -> tuple[np.ndarray, np.ndarray]:
    azimuth = np.radians(np.linspace(0.0, 180.0, 1500))
    return azimuth, np.radians(catmull_rom(np.degrees(azimuth), _LINE[:, 0], _LINE[:, 1]))


def _on_skin(azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    directions = np.stack([np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], -1)
    return surface.cast(HEAD_CENTRE, directions, 230.0)


def build() -> np.ndarray:
    """(2, C, 3) positions on the skin, still flat: the edge of the hair, and the row behind it, front to back."""
    azimuth, polar = _dense_line()
    line = _flat(azimuth, polar)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], round(length[-1] / _SPACING) + 1)
    a, q = np.interp(at, length, azimuth), np.interp(at, length, polar)
    tangent = np.stack([np.gradient(a) * np.sin(q), np.gradient(q)], -1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    # Into the hair: a left turn from the direction of travel in (azimuth, polar), towards the crown.
    inward = np.stack([tangent[:, 1], -tangent[:, 0]], -1) * _EDGE / _RADIUS
    inward[[0, -1], 0] = 0.0
    rows = np.stack([_on_skin(a, q), _on_skin(a + inward[:, 0] / np.sin(q), q + inward[:, 1])])
    rows[:, [0, -1], 0] = 0.0
    return rows


def height(points: np.ndarray) -> np.ndarray:
    """(N,) how far the hair stands off the skin at points (N, 3), 0 outside the hair."""
    arm = points - HEAD_CENTRE
    azimuth = np.arctan2(np.abs(arm[:, 0]), arm[:, 2])
    polar = np.arctan2(np.hypot(arm[:, 0], arm[:, 2]), arm[:, 1])
    line_azimuth, line_polar = _dense_line()
    limit = np.interp(azimuth, line_azimuth, line_polar)
    line = _on_line()
    distance = np.sqrt(((points[:, None] - line) ** 2).sum(-1)).min(1)
    full = FULL_HEIGHT + _ON_TOP * np.exp(-((polar / 0.85) ** 2))
    raised = ROOT_HEIGHT + (full - ROOT_HEIGHT) * (1 - np.exp(-distance / RISE))
    inside = (polar < limit) & (distance > 0.4 * _EDGE)
    return np.where(inside, raised, 0.0)


def _on_line() -> np.ndarray:
    azimuth, polar = _dense_line()
    return _on_skin(azimuth[::4], polar[::4])
