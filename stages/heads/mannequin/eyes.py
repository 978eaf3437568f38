"""Eyeballs and the rings of the lids round them. Millimetres, left eye."""

import numpy as np

from stages.heads.mannequin import surface
from stages.heads.mannequin.surface import EYE_CENTRE, EYE_RADIUS, LID_THICKNESS, catmull_rom

SIDE = 18  # columns from the inner to the outer corner along one lid
COLUMNS = 2 * SIDE
NUM_SKIN = 8  # rings outside the margin
MARGIN = NUM_SKIN  # outer edge of the lid's rim
NUM_RINGS = NUM_SKIN + 3  # + margin, inner edge, hidden fold behind the lid

INNER_X, OUTER_X = -15.2, 14.8
_T = np.array([-1.0, -0.85, -0.6, -0.25, 0.15, 0.5, 0.8, 1.0])
_UPPER = np.array([-1.8, 1.2, 4.3, 6.0, 6.2, 5.3, 3.1, 0.7])
_LOWER = np.array([-1.8, -3.0, -4.4, -5.9, -6.5, -5.6, -2.9, 0.7])
_CLOSED = np.array([-1.8, -2.4, -3.4, -4.5, -4.8, -4.1, -2.0, 0.7])

IRIS_ANGLE, PUPIL_ANGLE = np.radians(24.0), np.radians(10.6)
BALL_COLUMNS = 24
BALL_ANGLES = np.radians([5.0, 10.0, 11.0, 14.5, 18.5, 23.0, 24.6, 31.0, 42.0, 58.0, 80.0, 120.0])


def lid_parameter() -> tuple[np.ndarray, np.ndarray]:
    """For each column: position t in -1 (inner) .. 1 (outer corner), and 1 on the upper lid, -1 below, 0 at corners.

    Columns start at the outer corner and run over the upper lid, counter-clockwise seen from the front.
    """
    angle = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    t = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.9
    side = np.sign(np.round(np.sin(angle), 9))
    return t, side


def _x_of(t: np.ndarray) -> np.ndarray:
    return (OUTER_X - INNER_X) / 2 * t + (OUTER_X + INNER_X) / 2


def on_sphere(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """(..., 3) points in front of the eye's centre at (x, y) from it, at a distance from it."""
    return EYE_CENTRE + np.stack([x, y, np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0.0))], -1)


def closing_line(t: np.ndarray) -> np.ndarray:
    """Height above the eye's centre where the lids meet in a blink, mm."""
    return catmull_rom(t, _T, _CLOSED)


def build_lids() -> np.ndarray:
    """(NUM_RINGS, COLUMNS, 3) positions, outermost ring first."""
    t, side = lid_parameter()
    x, y = _x_of(t), np.where(side >= 0, catmull_rom(t, _T, _UPPER), catmull_rom(t, _T, _LOWER))
    margin = on_sphere(x, y, EYE_RADIUS + LID_THICKNESS)
    angle = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    outer_x = 1.0 + 22.5 * np.cos(angle)
    outer_y = np.where(np.sin(angle) > 0, 16.0, 18.5) * np.sin(angle)  # the brow is above
    f = ((np.arange(NUM_SKIN, 0, -1) / NUM_SKIN) ** 1.45)[:, None]
    skin_x, skin_y = x * (1 - f) + outer_x * f + EYE_CENTRE[0], y * (1 - f) + outer_y * f + EYE_CENTRE[1]
    skin = surface.front(skin_x, skin_y)
    # Next to the opening the lids hug the ball; further out they melt into the face.
    hug = np.clip(1.15 - 1.5 * f, 0.0, 1.0)
    hug = (hug**2 * (3 - 2 * hug))[..., None]
    offset = skin - EYE_CENTRE
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    on_ball = on_sphere(offset[..., 0], offset[..., 1], EYE_RADIUS + LID_THICKNESS + 0.2)
    skin[..., 2:] += hug * np.where(distance > EYE_RADIUS, on_ball[..., 2:] - skin[..., 2:], 0.0)
    # The fold of the upper lid, and the rounded rim.
    normal = surface.gradient(skin)
    rise = np.clip(side, 0.0, 1.0) * np.abs(np.sin(angle)) ** 0.7
    depth = np.exp(-0.5 * ((np.arange(NUM_SKIN)[:, None] - 4.0) / 0.7) ** 2) * rise
    skin = skin - 0.9 * depth[..., None] * normal
    direction = (margin - EYE_CENTRE) / np.linalg.norm(margin - EYE_CENTRE, axis=-1, keepdims=True)
    rim = EYE_CENTRE + direction * (EYE_RADIUS + 0.6)
    behind = on_sphere(x * 1.04, y + 2.0 * side * np.abs(np.sin(angle)), EYE_RADIUS + 0.5)
    return np.concatenate([skin, margin[None], rim[None], behind[None]])


def build_ball() -> np.ndarray:
    """(1 + rings * BALL_COLUMNS + 1, 3) positions: front pole, rings front to back, back pole."""
    phi = 2 * np.pi * np.arange(BALL_COLUMNS) / BALL_COLUMNS
    theta = BALL_ANGLES[:, None]
    rings = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) * np.ones_like(phi)], -1
    ).reshape(-1, 3)
    unit = np.concatenate([[[0.0, 0.0, 1.0]], rings, [[0.0, 0.0, -1.0]]])
    bulge = 0.2 * np.clip(1 - (np.arccos(np.clip(unit[:, 2], -1, 1)) / IRIS_ANGLE) ** 2, 0.0, None)
    return EYE_CENTRE + unit * (EYE_RADIUS + bulge[:, None])
