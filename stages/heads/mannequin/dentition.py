"""Teeth and tongue: closed surfaces that never move but with the jaw, or with tongueOut. Millimetres, whole mouth."""

import numpy as np

from stages.heads.mannequin.rings import fan_faces, ring_faces

TEETH = 10  # in a row
ROW_COLUMNS = 3 * TEETH + 1
PROFILE = 8  # points round the section of a row
TONGUE_RINGS, TONGUE_COLUMNS = 10, 14


def _arch(s: np.ndarray, width: float, front: float, back: float) -> tuple[np.ndarray, np.ndarray]:
    """Position and outward direction along the dental arch, s in -1 .. 1 from right to left."""
    dense = np.linspace(-1, 1, 2001)
    x, z = width * np.sin(dense * np.pi / 2) ** 1, front - (front - back) * np.abs(dense) ** 2.0
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    at = (s + 1) / 2 * length[-1]
    p = np.stack([np.interp(at, length, x), np.interp(at, length, z)], -1)
    ahead = np.stack([np.interp(at + 0.3, length, x), np.interp(at + 0.3, length, z)], -1)
    behind = np.stack([np.interp(at - 0.3, length, x), np.interp(at - 0.3, length, z)], -1)
    tangent = ahead - behind
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    return p, np.stack([-tangent[:, 1], tangent[:, 0]], -1)


def build_row(upper: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row of teeth in its gum.

    Args:
        upper: the upper row, else the lower.

    Returns:
        points (PROFILE * ROW_COLUMNS, 3); faces; and (…,) 0 on the gum, 1 on a tooth, between 0 and 1 in the gaps.
    """
    s = np.linspace(-1.0, 1.0, ROW_COLUMNS)
    width, front, back = (22.5, 91.3, 55.0) if upper else (21.0, 88.4, 55.0)
    p, outward = _arch(s, width, front, back)
    gap = (np.arange(ROW_COLUMNS) % 3 == 0).astype(float)
    middle = np.exp(-((s / 0.25) ** 2))
    edge = (-70.6 + 1.2 * (1 - middle) * np.clip(np.abs(s) * 2, 0, 1)) if upper else (-71.6 - 0.5 * np.abs(s))
    up = 1.0 if upper else -1.0
    crown = 8.2 if upper else 7.0
    # offset outward and height above the biting edge (towards the gum)
    section = [
        (-5.0, crown + 2.2),
        (0.2, crown + 2.0),
        (0.6, crown),
        (0.8, crown * 0.45),
        (0.3, 0.15),
        (-1.0, 0.0),
        (-4.2, crown * 0.55),
        (-5.2, crown),
    ]
    points, tooth = [], []
    for k, (offset, height) in enumerate(section):
        is_tooth = 2 <= k <= 6
        notch = np.where(k in (3, 4), 0.55, 0.2 if k == 2 else 0.0) * gap
        across = p + outward * (offset - notch)[:, None]
        rounding = 0.5 * gap * (k in (4, 5))
        points.append(np.stack([across[:, 0], edge + up * (height + rounding), across[:, 1]], -1))
        tooth.append(np.where(is_tooth, 1.0 - 0.35 * gap * (k in (2, 3, 4)), 0.0))
    grid = np.arange(PROFILE * ROW_COLUMNS).reshape(PROFILE, ROW_COLUMNS)
    flat = np.concatenate(points)
    faces = ring_faces(np.concatenate([grid, grid[:1]]), closed=False, points=flat)
    ends = [_cap(grid[:, 0])[:, ::-1], _cap(grid[:, -1])]
    faces = np.concatenate([faces, *ends])
    return flat, _outward(flat, faces), np.concatenate(tooth)


def _cap(loop: np.ndarray) -> np.ndarray:
    """Closes a loop of eight vertices with a strip, so that no vertex is added."""
    n = len(loop)
    strip = []
    low, high = 0, n - 1
    while high - low > 1:
        strip.append((loop[low], loop[low + 1], loop[high]))
        if high - low > 2:
            strip.append((loop[low + 1], loop[high - 1], loop[high]))
        low, high = low + 1, high - 1
    return np.array(strip)


def _outward(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Turns a closed surface inside out where its volume is negative."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c))
    return faces if volume > 0 else faces[:, ::-1]


def build_tongue() -> tuple[np.ndarray, np.ndarray]:
    """The tongue at rest behind the lower teeth.

    Returns:
        points (1 + TONGUE_RINGS * TONGUE_COLUMNS + 1, 3): root, rings from root to tip, tip; and faces.
    """
    f = (np.arange(TONGUE_RINGS) + 0.7) / (TONGUE_RINGS + 0.4)  # root to tip
    phi = 2 * np.pi * (np.arange(TONGUE_COLUMNS) + 0.5) / TONGUE_COLUMNS
    z = 46.0 + 34.5 * np.sin(f * np.pi / 2) ** 0.9
    half_width = 14.5 * np.sin(np.pi * np.clip(0.22 + 0.78 * f, 0, 1)) ** 0.55 * (1 - 0.12 * f)
    half_height = 5.4 * np.sin(np.pi * np.clip(0.22 + 0.78 * f, 0, 1)) ** 0.6
    top = -77.0 + 1.2 * np.sin(f * np.pi) - 0.2 * f
    groove = 0.8 * np.exp(-((np.cos(phi) / 0.25) ** 2)) * (np.sin(phi) > 0)
    x = half_width[:, None] * np.cos(phi)
    y = top[:, None] + half_height[:, None] * np.sin(phi) * np.where(np.sin(phi) > 0, 0.85, 1.0) - groove
    rings = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], -1).reshape(-1, 3)
    points = np.concatenate([[[0.0, -77.0, 44.5]], rings, [[0.0, -77.4, 81.6]]])
    grid = 1 + np.arange(TONGUE_RINGS * TONGUE_COLUMNS).reshape(TONGUE_RINGS, TONGUE_COLUMNS)
    faces = np.concatenate(
        [
            fan_faces(grid[0], 0, closed=True),
            ring_faces(grid, closed=True, points=points),
            fan_faces(grid[-1], len(points) - 1, closed=True)[:, ::-1],
        ]
    )
    return points, _outward(points, faces)
