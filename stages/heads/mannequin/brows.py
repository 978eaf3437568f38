"""The left brow: a strip of vertices in rows along it, so that it is painted with clean edges. Millimetres."""

import numpy as np

from stages.heads.mannequin import surface
from stages.heads.mannequin.surface import catmull_rom

ROWS, COLUMNS = 4, 15
INNER_X, OUTER_X = 11.0, 53.0
_X = np.array([11.0, 20.0, 30.0, 39.0, 47.0, 53.0])
_MIDDLE = np.array([20.0, 21.4, 23.0, 23.5, 22.0, 19.2])
_HALF_WIDTH = np.array([2.6, 3.1, 2.8, 2.3, 1.7, 0.9])


def brow_line(x: np.ndarray) -> np.ndarray:
    """Height of the middle of the brow at |x|."""
    return catmull_rom(np.abs(x), _X, _MIDDLE)


def build() -> np.ndarray:
    """(ROWS, COLUMNS, 3) positions, lowest row first, columns outward; the strip is slightly raised."""
    x = np.linspace(INNER_X, OUTER_X, COLUMNS)
    across = np.linspace(-1.0, 1.0, ROWS)[:, None]
    y = brow_line(x) + across * catmull_rom(x, _X, _HALF_WIDTH)
    skin = surface.front(np.broadcast_to(x, y.shape), y)
    normal = surface.gradient(skin)
    return skin + 0.5 * (1 - np.abs(across[..., None])) * normal
