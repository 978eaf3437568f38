"""The mouth: rings from the skin round the lips, over the red of the lips, through the closed slit, into the cavity.

Millimetres, left half. Columns run from the middle of the upper lip over the left corner to the middle of the lower
lip, so that column j of the upper lip meets column 2 QUARTER - j of the lower lip when the mouth is closed.
"""

import numpy as np

from stages.heads.mannequin import surface
from stages.heads.mannequin.surface import catmull_rom

QUARTER = 14
COLUMNS = 2 * QUARTER + 1
GAP = 0.2  # between the closed lips

# Rings from outside to inside.
NUM_SKIN, NUM_RED, NUM_INNER = 6, 5, 7
BORDER = NUM_SKIN  # the edge of the red
CONTACT = BORDER + NUM_RED  # where the lips touch
NUM_RINGS = CONTACT + 1 + NUM_INNER

CORNER_X, CORNER_Y = 25.0, -68.2
_T = np.array([0.0, 0.1, 0.22, 0.4, 0.6, 0.8, 0.92, 1.0])
_UPPER_HEIGHT = np.array([6.6, 7.3, 8.1, 7.1, 5.2, 2.9, 1.2, 0.0])
_LOWER_HEIGHT = np.array([9.4, 9.5, 9.3, 8.3, 6.4, 3.8, 1.7, 0.0])


def lip_line(t: np.ndarray) -> np.ndarray:
    """Height of the closed slit at t = x / corner, in mm: a small tubercle at the middle, corners a little raised."""
    return CORNER_Y - 0.9 - 0.8 * np.exp(-((t / 0.2) ** 2)) + 1.8 * t**3


def build() -> np.ndarray:
    """(NUM_RINGS, COLUMNS, 3) positions of the left half's mouth, mm, outermost ring first."""
    u = np.linspace(0.0, 1.0, QUARTER + 1)
    t = 0.55 * u + 0.45 * np.sin(u * np.pi / 2)  # denser towards the corner
    t = np.concatenate([t, t[-2::-1]])
    is_upper = np.arange(COLUMNS) <= QUARTER
    side = np.where(is_upper, 1.0, -1.0)
    corner = np.arange(COLUMNS) == QUARTER

    height = np.where(is_upper, catmull_rom(t, _T, _UPPER_HEIGHT), -catmull_rom(t, _T, _LOWER_HEIGHT))
    border = surface.front(CORNER_X * t + 1.3 * t**6, lip_line(t) + height)

    contact = surface.front(CORNER_X * t, lip_line(t))
    contact[:, 2] += 1.0 * (1 - t**2) - 2.2 * t**4
    contact[:, 1] += np.where(corner, 0.0, side * GAP / 2)

    fullness = np.where(is_upper, 2.4, 3.1) * np.clip(1 - t**2, 0.0, 1.0) ** 0.8
    across = contact - border
    handle_a = border + 0.22 * across + np.array([0.0, 0.0, 1.0]) * (0.75 * fullness)[:, None]
    handle_b = contact - 0.10 * across * np.array([1.0, 1.0, 0.0]) + np.array([0, 0, 1.0]) * (1.15 * fullness)[:, None]
    s = (np.arange(1, NUM_RED) / NUM_RED)[:, None, None]
    red = (1 - s) ** 3 * border + 3 * s * (1 - s) ** 2 * handle_a + 3 * s**2 * (1 - s) * handle_b + s**3 * contact

    # Skin: rings widen from the border to an oval below the nose, beside the mouth and above the chin.
    alpha = np.where(is_upper, np.pi / 2 * (1 - np.arange(COLUMNS) / QUARTER), 0.0)
    alpha = np.where(is_upper, alpha, -np.pi / 2 * (np.arange(COLUMNS) / QUARTER - 1))
    outer_x = 42.0 * np.cos(alpha)
    outer_y = np.where(is_upper, CORNER_Y - 3 + 20.5 * np.sin(alpha), CORNER_Y - 3 + 27.0 * np.sin(alpha))
    outer_x[[0, -1]] = 0.0
    f = ((np.arange(NUM_SKIN, 0, -1) / NUM_SKIN) ** 1.25)[:, None]
    skin = surface.front(border[:, 0] * (1 - f) + outer_x * f, border[:, 1] * (1 - f) + outer_y * f)

    points = np.concatenate([skin, border[None], red, contact[None], _cavity(contact, alpha, side * ~corner)])
    points[:, [0, -1], 0] = 0.0
    return points


def _cavity(contact: np.ndarray, alpha: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(NUM_INNER, COLUMNS, 3) rings from the slit inward: inner lips, the pocket before the gums, and the throat."""
    # The slit slants, so that nobody looks through it.
    slit = contact + np.stack([-0.02 * contact[:, 0], np.full_like(side, -0.7), np.full_like(side, -2.0)], -1)
    inner_lip = contact + np.stack([-0.02 * contact[:, 0], 1.3 * side - 0.7, np.full_like(side, -4.2)], -1)
    rings = [slit, inner_lip]
    # half width, rise above and fall below the slit, z at the middle and at the side
    for half_width, up, down, z_middle, z_side in (
        (25.0, 5.5, 5.5, 93.6, 77.0),
        (28.5, 12.5, 12.8, 92.2, 72.0),
        (31.5, 16.5, 17.0, 84.5, 62.0),
        (30.0, 15.0, 16.5, 56.0, 48.0),
        (16.0, 9.0, 10.0, 40.0, 40.0),
    ):
        x = half_width * np.abs(np.cos(alpha)) ** 0.8
        y = CORNER_Y - 1.5 + np.where(alpha > 0, up, down) * np.sign(alpha) * np.abs(np.sin(alpha)) ** 0.8
        z = z_middle + (z_side - z_middle) * (x / half_width) ** 2
        rings.append(np.stack([x, y, z], -1))
    return np.stack(rings)
