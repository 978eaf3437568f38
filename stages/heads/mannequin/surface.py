"""The sculpture: skin without openings as the zero set of a smooth field, from masses and soft local accents.

Millimetres. The origin lies between the ears at the height of the pupils; +Y up, +Z out of the face, the subject's left
is +X. The field is negative inside and close to a distance near the skin. It depends on |x|, so it is symmetric.
Numbers follow the proportions of an adult head 230 mm tall, 150 mm wide and 195 mm deep, softened as a stylised face.
"""

import numpy as np

EYE_CENTRE = np.array([32.0, 0.0, 66.5])
EYE_RADIUS = 18.0
LID_THICKNESS = 1.5
NECK_BOTTOM = -172.0
HEAD_CENTRE = np.array([0.0, -6.0, 8.0])

# Horizontal sections of the face: height, half width, front, exponent of the superellipse.
_SECTIONS = np.array(
    [
        # y, half width, front z, exponent
        [-135.0, 30.0, 83.0, 1.95],
        [-114.0, 39.0, 90.0, 1.95],
        [-103.0, 45.5, 94.0, 2.0],
        [-88.0, 52.0, 95.5, 2.05],
        [-70.0, 58.5, 98.5, 2.1],
        [-55.0, 63.0, 98.5, 2.15],
        [-42.0, 67.0, 97.0, 2.2],
        [-22.0, 70.0, 95.0, 2.35],
        [0.0, 70.5, 94.0, 2.45],
        [20.0, 71.5, 96.5, 2.4],
        [40.0, 71.5, 96.5, 2.35],
        [64.0, 67.5, 90.0, 2.25],
        [95.0, 52.0, 72.0, 2.2],
        [125.0, 30.0, 40.0, 2.1],
    ]
)
_SECTION_CENTRE_Z = 12.0


def _soft_min(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Union of two fields with a fillet."""
    h = np.clip(0.5 + 0.5 * (b - a) / radius, 0.0, 1.0)
    return b + (a - b) * h - radius * h * (1.0 - h)


def _soft_max(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Intersection of two fields with a fillet."""
    return -_soft_min(-a, -b, radius)


def _ellipsoid(p: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...], exponent: float = 2.0) -> np.ndarray:
    a, b, c = (np.abs(p[..., k] - centre[k]) / radii[k] for k in range(3))
    if exponent == 2.0:
        rho = np.sqrt(a * a + b * b + c * c)
    else:
        rho = (a**exponent + b**exponent + c**exponent) ** (1.0 / exponent)
    slope = np.sqrt((a / radii[0]) ** 2 + (b / radii[1]) ** 2 + (c / radii[2]) ** 2)
    return (rho - 1.0) * np.sqrt(a * a + b * b + c * c) / np.maximum(slope, 1e-6)


def _capsule(p: np.ndarray, a: tuple[float, ...], b: tuple[float, ...], r_a: float, r_b: float) -> np.ndarray:
    """A rod from a to b whose radius runs from r_a to r_b."""
    start, along = np.array(a), np.array(b) - np.array(a)
    t = np.clip(((p - start) @ along) / (along @ along), 0.0, 1.0)
    return np.linalg.norm(p - start - t[..., None] * along, axis=-1) - (r_a + (r_b - r_a) * t)


def _bump(p: np.ndarray, centre: tuple[float, ...], sigma: tuple[float, ...]) -> np.ndarray:
    a, b, c = ((p[..., k] - centre[k]) / sigma[k] for k in range(3))
    return np.exp(-0.5 * (a * a + b * b + c * c))


def catmull_rom(x: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Smooth curve through (knots, values), monotone knots, clamped at both ends."""
    slopes = np.gradient(values, knots, axis=0)
    x = np.clip(x, knots[0], knots[-1])
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    h = knots[k + 1] - knots[k]
    t = (x - knots[k]) / h
    if values.ndim == 2:
        h, t = h[..., None], t[..., None]
    h00, h10 = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
    h01, h11 = t**2 * (3 - 2 * t), t**2 * (t - 1)
    return h00 * values[k] + h10 * h * slopes[k] + h01 * values[k + 1] + h11 * h * slopes[k + 1]


def _face_mass(p: np.ndarray) -> np.ndarray:
    width, front, exponent = np.moveaxis(catmull_rom(p[..., 1], _SECTIONS[:, 0], _SECTIONS[:, 1:]), -1, 0)
    z = p[..., 2] - _SECTION_CENTRE_Z
    depth = np.where(z > 0, front - _SECTION_CENTRE_Z, 60.0)
    rho = (((p[..., 0] / width) ** 2 + 1e-9) ** (exponent / 2) + np.abs(z / depth) ** exponent) ** (1.0 / exponent)
    size = np.hypot(p[..., 0], z)
    loft = size * (1.0 - 1.0 / np.maximum(rho, 1e-3))
    # The jaw: everything below the plane through the chin and the angles of the jaw is cut away, with a round edge.
    jaw_plane = (p - np.array([0.0, -114.5, 84.0])) @ np.array([0.0, -0.886, -0.464])
    under_crown = p[..., 1] - 78.0  # the cranium closes the top
    return _soft_max(_soft_max(np.clip(loft, -40.0, None), jaw_plane, 19.0), under_crown, 40.0)


def _neck(p: np.ndarray) -> np.ndarray:
    t = np.clip((p[..., 1] + 175.0) / 95.0, 0.0, 1.4)  # 0 at the bottom, 1 below the skull
    flare = np.exp(-((p[..., 1] + 184.0) / 30.0).clip(0))
    centre_z = -25.0 + 9.0 * t
    rho = np.hypot(p[..., 0] / (47.5 + 13.0 * flare), (p[..., 2] - centre_z) / (49.5 + 8.0 * flare))
    size = np.hypot(p[..., 0], p[..., 2] - centre_z)
    tube = size * (1.0 - 1.0 / np.maximum(rho, 1e-3))
    return _soft_max(np.clip(tube, -30.0, None), p[..., 1] + 40.0, 20.0)


def field(points: np.ndarray) -> np.ndarray:
    """Signed field of the closed skin.

    Args:
        points: (..., 3) positions, mm.

    Returns:
        (...) negative inside, about the distance in mm near the skin.
    """
    p = np.array(points, dtype=float)
    p[..., 0] = np.sqrt(p[..., 0] ** 2 + 0.3)  # |x| without a crease at the middle
    d = _soft_min(_ellipsoid(p, (0, 27, -4), (75, 88, 96), 2.12), _face_mass(p), 22.0)
    d = _soft_min(d, _neck(p), 28.0)

    # Soft accents of bone and flesh; positive heights raise the skin.
    for height, centre, sigma in _ACCENTS:
        d = d - height * _bump(p, centre, sigma)

    nose = _capsule(p, (0, 7, 89.5), (0, -32.5, 111.0), 5.6, 7.6)
    nose = _soft_min(nose, _ellipsoid(p, (0, -36.3, 112.5), (9.6, 8.2, 9.0)), 5.0)
    nose = _soft_min(nose, _ellipsoid(p, (11.4, -39.3, 101.8), (6.0, 6.4, 9.0)), 4.0)
    nose = _soft_min(nose, _capsule(p, (0, -41.5, 111), (0, -47.5, 100), 4.0, 5.0), 4.0)
    d = _soft_min(d, nose, 8.0)
    d = _soft_max(d, -_ellipsoid(p, (5.9, -46.8, 107.0), (2.9, 4.4, 5.0)), 2.5)

    # The closed lids: a skin over the eyeball.
    lids = np.linalg.norm(p - EYE_CENTRE, axis=-1) - (EYE_RADIUS + LID_THICKNESS)
    return _soft_min(d, lids, 5.0)


_ACCENTS: tuple[tuple[float, tuple[float, ...], tuple[float, ...]], ...] = (
    (-7.0, (32, 0, 88), (17, 10, 16)),  # eye socket
    (-4.5, (15.5, 0, 88), (5.5, 9, 12)),  # inner corner of the eye
    (1.2, (28, 20, 92), (18, 6, 14)),  # brow ridge
    (0.6, (0, 20, 98), (12, 9, 12)),  # glabella
    (3.0, (48, -22, 74), (15, 11, 20)),  # cheekbone
    (3.4, (35, -37, 84), (15, 14, 16)),  # apple of the cheek
    (-1.2, (52, -62, 62), (14, 16, 22)),  # hollow below the cheekbone
    (-2.0, (70, 28, 42), (14, 18, 18)),  # temple
    (2.4, (0, -101, 96), (13, 9, 12)),  # chin
    (-1.8, (0, -86, 98), (13, 4.5, 10)),  # below the lower lip
    (2.0, (0, -66, 99), (20, 13, 14)),  # the lips' mound over the teeth
    (1.8, (0, -63, 101), (15, 6, 10)),  # the upper lip's edge turns out
    (-1.3, (0, -53, 102), (2.4, 6, 8)),  # philtrum
    (0.7, (5.2, -54, 101), (2.0, 6, 8)),  # its ridges
    (-1.2, (27, -69, 90), (4.5, 5, 10)),  # corner of the mouth
    (-1.2, (22, -50, 95), (4, 9, 12)),  # fold from nose to mouth
    (4.0, (0, -94, 52), (26, 10, 22)),  # floor of the mouth
    (1.2, (31, -145, -2), (9, 45, 16)),  # neck muscle
)


def gradient(points: np.ndarray, step: float = 0.05) -> np.ndarray:
    """(..., 3) gradient of the field by central differences."""
    offsets = step * np.eye(3)
    return np.stack([field(points + o) - field(points - o) for o in offsets], -1) / (2 * step)


def project(points: np.ndarray, iterations: int = 6) -> np.ndarray:
    """Moves points (N, 3) along the gradient on to the skin."""
    points = np.array(points, dtype=float)
    for _ in range(iterations):
        g = gradient(points)
        step = field(points)[..., None] * g / np.maximum((g**2).sum(-1, keepdims=True), 0.05)
        points -= np.clip(step, -6.0, 6.0)
    return points


def cast(origins: np.ndarray, directions: np.ndarray, far: float, near: float = 0.0) -> np.ndarray:
    """Outermost crossing of rays with the skin.

    Args:
        origins: (N, 3) or (3,) starts, mm.
        directions: (N, 3) or (3,) unit vectors.
        far: distance at which the search starts, outside the head.
        near: distance at which it ends, inside.

    Returns:
        (N, 3) points on the skin.
    """
    origins, directions = np.broadcast_arrays(np.asarray(origins, float), np.asarray(directions, float))
    outside = np.full(len(origins), far)
    inside = np.full(len(origins), near)
    # March inward by a part of the field, which is nearly the distance, until the skin is passed.
    marching = np.arange(len(origins))
    value = field(origins + far * directions)
    while len(marching):
        further = outside[marching] - np.maximum(0.6 * value, 0.6)
        beyond = field(origins[marching] + further[:, None] * directions[marching])
        passed = (beyond < 0) | (further <= near)
        inside[marching[passed]] = np.maximum(further[passed], near)
        outside[marching[~passed]] = further[~passed]
        marching, value = marching[~passed], beyond[~passed]
    for _ in range(22):
        middle = 0.5 * (outside + inside)
        is_inside = field(origins + middle[:, None] * directions) < 0
        inside = np.where(is_inside, middle, inside)
        outside = np.where(is_inside, outside, middle)
    return origins + inside[:, None] * directions


def front(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., 3) points of the skin seen from the front at (x, y), mm."""
    start = np.stack([x, y, np.zeros_like(x)], -1)
    return cast(start.reshape(-1, 3), np.array([0.0, 0.0, 1.0]), 135.0, 20.0).reshape(start.shape)
