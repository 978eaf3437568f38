"""The left ear: rings from where it joins the head, up its back, over the rim, into the bowl. Millimetres."""

import numpy as np

from stages.heads.mannequin import surface

COLUMNS = 24
NUM_RINGS = 12  # the first lies on the skin, the second is the root; the bowl's centre follows as one vertex

SIZE = 0.94
_ROOT = np.array([75.0, -9.0, -9.0])  # near the tragus
_LEAN = 0.10  # outward, as the head is wider above
_TILT, _FLARE = np.radians(14.0), np.radians(24.0)


def _frame() -> np.ndarray:
    """Rows: backward along the ear's plate, up along it, and out of it."""
    back = np.array([0.0, -np.sin(_TILT), -np.cos(_TILT)])
    up = np.array([_LEAN, np.cos(_TILT), -np.sin(_TILT)])
    side = np.array([1.0, -_LEAN, 0.0])
    flared_back = np.cos(_FLARE) * back + np.sin(_FLARE) * side
    out = np.cos(_FLARE) * side - np.sin(_FLARE) * back
    return np.stack([flared_back, up, out])


def build() -> np.ndarray:
    """(NUM_RINGS * COLUMNS + 1, 3) positions, outermost ring first, then the centre of the bowl."""
    # Seen from the left the face looks to the left side of the picture: columns run counter-clockwise from the back.
    beta = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    cos, sin = np.cos(beta), np.sin(beta)
    back, front = np.clip(cos, 0, None), np.clip(-cos, 0, None)
    low = np.clip(-sin, 0, None)

    # The outline of the plate: round above and behind, narrow at the lobe.
    a_outline = 10.0 + back * (19.0 - 8.5 * low**1.5) - front * (13.0 - 1.5 * low)
    b_outline = np.where(sin > 0, 30.0, 29.0) * np.sign(sin) * np.abs(sin) ** 0.9
    b_outline += 2.0 * back * (1 - low)
    a_centre, b_centre = 9.0, -4.0

    def inside(scale: float, height: np.ndarray) -> np.ndarray:
        # The bowl lies forward of the middle of the plate, over the root.
        a = a_centre - 5.5 * np.clip(1 - scale, 0, None) + (a_outline - a_centre) * scale * SIZE
        b = b_centre + (b_outline - b_centre) * scale * SIZE
        return np.stack([a, b, height + lift], -1)

    wide = back**0.7
    lift = 3.5 * front**0.5 * sin.clip(0) + 0.8 * front  # clear of the temple
    rim_height = 5.5 + 1.2 * sin.clip(0) - 2.0 * front - 1.5 * low
    tragus = np.exp(-0.5 * (((beta - np.pi * 1.03) / 0.33) ** 2))
    antitragus = np.exp(-0.5 * (((beta - np.pi * 1.45) / 0.3) ** 2))
    antihelix = np.exp(-0.5 * (((beta - 0.15) / 1.0) ** 2)) + np.exp(-0.5 * (((beta - 2 * np.pi - 0.15) / 1.0) ** 2))
    lobe = low**2
    local = np.stack(
        [
            inside(0.985, 1.6 - 1.6 * front),  # the back edge of the rim
            inside(1.03, 3.4 - 1.4 * front),
            inside(1.0, rim_height),
            inside(0.90, rim_height + 0.6 - 1.6 * front + 2.4 * tragus),
            inside(0.80, rim_height - 3.0 + 2.0 * lobe + 3.6 * tragus),
            inside(0.67, 3.0 + 2.6 * antihelix + 1.0 * antitragus + 3.0 * tragus + 0.8 * lobe),
            inside(0.54, 2.0 + 2.2 * antihelix + 2.4 * antitragus + 0.6 * tragus),
            inside(0.40, -0.6 + 1.2 * antihelix),
            inside(0.22, np.full_like(beta, -2.8)),
        ]
    )
    ear = _ROOT + local @ _frame()
    # The root: a narrow oval on the skin; and one wider ring on the skin round it.
    rings = []
    for width, height in ((11.5, 29.0), (8.0, 25.0)):
        a = 2.0 + width * cos * (1 - 0.25 * low)
        b = -3.0 + height * sin
        start = _ROOT + np.stack([a, b], -1) @ np.stack([[0.0, -np.sin(_TILT), -np.cos(_TILT)], _frame()[1]])
        start[:, 0] = 0.0
        rings.append(surface.cast(start, np.array([1.0, 0.0, 0.0]), 110.0, 30.0))
    behind = 0.5 * rings[1] + 0.5 * ear[0] + np.array([-1.0, 0.0, 0.0]) * (2.0 * wide)[:, None]
    centre = _ROOT + np.array([[a_centre - 5.0, b_centre, -3.4]]) @ _frame()
    grid = _soften(np.concatenate([np.stack([*rings, behind]), ear]))
    return np.concatenate([grid.reshape(-1, 3), centre])


def _soften(grid: np.ndarray) -> np.ndarray:
    """Rounds the ear's ridges; the ring on the skin and the root stay."""
    for _ in range(1):
        across = 0.5 * (grid[:-2] + grid[2:])[1:]
        along = 0.5 * (np.roll(grid, 1, axis=1) + np.roll(grid, -1, axis=1))[2:-1]
        grid[2:-1] += 0.3 * (0.5 * (across + along) - grid[2:-1])
    return grid
