"""Curves of the eyes: lids that slide over the ball, and balls that turn."""

import numpy as np

from stages.heads.mannequin import eyes
from stages.heads.mannequin.places import Places, vectors
from stages.heads.mannequin.surface import EYE_CENTRE

GAZE = np.radians(25.0)


def eye_curves(places: Places) -> dict[str, np.ndarray]:
    """Displacements (V, 3) of the fourteen curves of the eyes."""
    t, _ = eyes.lid_parameter()
    middle = np.clip(1 - t**2, 0, 1)
    lefts = {
        "eyeBlink": _blink(places),
        "eyeSquint": _lids(places, -1.6 * middle, 2.9 * middle, cheek=2.6),
        "eyeWide": _lids(places, 2.6 * middle**0.7, -0.9 * middle, brow=1.2),
        "eyeLookDown": _lids(places, -6.0 * middle, -1.8 * middle) + _turn(places, GAZE, 0),
        "eyeLookUp": _lids(places, 4.4 * middle**0.8, 1.4 * middle) + _turn(places, -GAZE, 0),
        "eyeLookIn": _lids(places, 0 * t, 0 * t, sideways=-1.4) + _turn(places, -GAZE, 1),
        "eyeLookOut": _lids(places, 0 * t, 0 * t, sideways=1.4) + _turn(places, GAZE, 1),
    }
    curves = {}
    for name, left in lefts.items():
        curves[name + "Left"] = left
        curves[name + "Right"] = places.mirrored(left)
    return curves


def _turn(places: Places, angle: float, axis: int) -> np.ndarray:
    """The left ball turned about its centre: about X (positive looks down) or Y (positive looks to the left)."""
    arm = places.mesh.points[places.mesh.left_eye] - EYE_CENTRE
    a, b = (1, 2) if axis == 0 else (2, 0)
    turned = arm.copy()
    turned[:, a] = np.cos(angle) * arm[:, a] - np.sin(angle) * arm[:, b]
    turned[:, b] = np.sin(angle) * arm[:, a] + np.cos(angle) * arm[:, b]
    displacement = np.zeros_like(places.mesh.points)
    displacement[places.mesh.left_eye] = turned - arm
    return displacement


def _slide(points: np.ndarray, rise: np.ndarray, lift: np.ndarray | float = 0.0) -> np.ndarray:
    """Displacement of points on the ball that rise by so many millimetres at the front, keeping their distance to it."""
    arm = points - EYE_CENTRE
    reach = np.hypot(arm[:, 1], arm[:, 2])
    angle = np.arctan2(arm[:, 1], arm[:, 2])
    target = np.arcsin(np.clip((arm[:, 1] + rise) / reach, -1, 1))
    reach = reach + lift
    moved = np.stack([arm[:, 0], reach * np.sin(target), reach * np.cos(target)], 1)
    keep = np.abs(rise) < 1e-9
    moved[keep] = np.stack([arm[:, 0], reach * np.sin(angle), reach * np.cos(angle)], 1)[keep]
    return moved - arm


def _rings_follow(places: Places, at_margin: np.ndarray, reach: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pulls for the inner rings of the left lids: `reach` (rings,) says how much of the margin's rise each ring takes."""
    pulls = []
    for ring, share in zip(places.mesh.left_lids, reach, strict=True):
        if share >= 0:
            pulls.append((ring, _slide(places.mesh.points[ring], share * at_margin)))
    return pulls


def _held(places: Places) -> np.ndarray:
    p = places.mesh.points[places.mesh.skin]
    far = np.linalg.norm((p - EYE_CENTRE - np.array([0, 2.0, 10.0])) / np.array([1.0, 1.0, 1.6]), axis=1) > 27.0
    far[places.mesh.right_lids] = True
    return far


# How much of the margin's movement the rings take, from the outermost: the skin beyond finds its own way.
_SHARES = np.array([-1, -1, -1, -1, -1, 0.55, 0.80, 0.95, 1.0, 1.0, 1.0])


def _lids(
    places: Places,
    upper: np.ndarray,
    lower: np.ndarray,
    *,
    cheek: float = 0.0,
    brow: float = 0.0,
    sideways: float = 0.0,
) -> np.ndarray:
    """Displacement (V, 3) when the left lids' margins rise by upper and lower (columns,) and shift sideways, mm."""
    t, side = eyes.lid_parameter()
    rise = np.where(side > 0, upper, np.where(side < 0, lower, 0.0))
    pulls = _rings_follow(places, rise, _SHARES)
    pulls = [(v, d + vectors(sideways * np.clip(1 - t**2, 0, 1))) for v, d in pulls]
    if cheek:
        pulls.append((places.near((36, -24, 86), 5.0), np.array([0.2, cheek, 0.6])))
    if brow:
        pulls.append((places.near((32, 17, 92), 5.0), np.array([0.0, brow, 0.0])))
    return places.pull(pulls, _held(places))


def _blink(places: Places) -> np.ndarray:
    """Both margins meet on the closing line; the upper lid does most of the way.

    A blendshape moves on straight chords, which cut the corner of the ball's arc. So the lids end a little further out
    than they start: half way they then still clear the ball.
    """
    mesh, (t, side) = places.mesh, eyes.lid_parameter()
    closing = eyes.closing_line(t)
    margin = mesh.points[mesh.left_lids[eyes.MARGIN]] - EYE_CENTRE
    way = np.where(side == 0, 0.0, closing - margin[:, 1])
    way = way + np.where(side > 0, 0.10, np.where(side < 0, -0.10, 0.0))
    pulls = []
    extent = np.abs(way) / np.abs(way).max()
    for vertices, share in zip(mesh.left_lids, _BLINK_SHARES, strict=True):
        if share < 0:
            continue
        lift = 1.9 * share * extent
        pulls.append((vertices, _slide(mesh.points[vertices], share * way, lift)))
    return places.pull(pulls, _held(places))


_BLINK_SHARES = np.array([-1, -1, -1, -1, 0.42, 0.66, 0.85, 0.96, 1.0, 1.0, 1.0])
