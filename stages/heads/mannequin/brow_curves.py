"""Curves of brows, cheeks and nose."""

import numpy as np

from stages.heads.mannequin import mouth
from stages.heads.mannequin.brows import brow_line
from stages.heads.mannequin.places import Places, smooth_step, vectors
from stages.heads.mannequin.surface import EYE_CENTRE, gradient


def brow_curves(places: Places) -> dict[str, np.ndarray]:
    """Displacements (V, 3) of the curves of brows, cheeks and nose."""
    curves = {
        "browInnerUp": places.symmetric(_brow_inner_up(places)),
        "cheekPuff": places.symmetric(_cheek_puff(places)),
    }
    lefts = {
        "browDown": _brow_down(places),
        "browOuterUp": _brow_outer_up(places),
        "cheekSquint": _cheek_squint(places),
        "noseSneer": _nose_sneer(places),
    }
    for name, left in lefts.items():
        curves[name + "Left"] = left
        curves[name + "Right"] = places.mirrored(left)
    return curves


def _brow_strip(places: Places, inner: float, outer: float, half_height: float = 4.0) -> np.ndarray:
    """Skin vertices of the left brow between two |x|."""
    p = places.mesh.points[places.mesh.skin]
    on = (np.abs(p[:, 1] - brow_line(p[:, 0])) < half_height) & (p[:, 0] >= inner) & (p[:, 0] < outer) & (p[:, 2] > 40)
    on[places.mesh.left_lids[2:]] = False
    return np.flatnonzero(on)


def _held(places: Places) -> np.ndarray:
    p = places.mesh.points[places.mesh.skin]
    held = (p[:, 1] > 66) | (p[:, 1] < -14) | (np.abs(p[:, 0]) > 66) | (p[:, 2] < 30)
    held[places.mesh.left_lids[4:]] = True
    held[places.mesh.right_lids[4:]] = True
    return held


def _brow_down(places: Places) -> np.ndarray:
    strip = _brow_strip(places, 5.0, 52.0)
    x = places.mesh.points[strip, 0]
    share = 1 - 0.55 * smooth_step(22.0, 52.0, x)
    held = _held(places) | (places.mesh.points[places.mesh.skin, 0] < -4)
    return places.pull([(strip, vectors(-2.4 * share, -5.6 * share, 0.8 * share))], held)


def _brow_inner_up(places: Places) -> np.ndarray:
    strip = _brow_strip(places, -40.0, 40.0)
    p = places.mesh.points[places.mesh.skin]
    mirrored = places.mesh.mirror[strip]
    strip = np.unique(np.concatenate([strip, mirrored[mirrored < len(p)]]))
    share = 1 - 0.92 * smooth_step(12.0, 40.0, np.abs(p[strip, 0]))
    return places.pull([(strip, vectors(0 * share, 7.8 * share, 0.6 * share))], _held(places))


def _brow_outer_up(places: Places) -> np.ndarray:
    strip = _brow_strip(places, 14.0, 58.0)
    x = places.mesh.points[strip, 0]
    share = smooth_step(6.0, 44.0, x)
    held = _held(places) | (places.mesh.points[places.mesh.skin, 0] < 2)
    return places.pull([(strip, vectors(0.4 * share, 7.2 * share, -0.4 * share))], held)


def _cheek_puff(places: Places) -> np.ndarray:
    p = places.mesh.points[places.mesh.skin]
    outward = gradient(p)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    pulls = []
    for sign in (1.0, -1.0):
        cheek = places.near((sign * 45.0, -62.0, 68.0), 11.0)
        pulls.append((cheek, 11.5 * outward[cheek]))
    for sign in (1.0, -1.0):
        upper = places.near((sign * 16.0, -55.0, 98.0), 4.0)
        pulls.append((upper, np.array([0.0, 0.0, 2.6])))
    t = places.t
    contact = vectors(-0.05 * t * mouth.CORNER_X, 0.0, 1.2 * (1 - t**2))
    return places.move_lips(contact, contact, pulls)


def _cheek_squint(places: Places) -> np.ndarray:
    cheek = places.near((38, -25, 84), 9.0)
    held = places.far.copy()
    p = places.mesh.points[places.mesh.skin]
    held |= p[:, 1] < -58
    held[places.mesh.left_lids[4:]] = True
    held |= np.linalg.norm(p - np.array([38, -25, 84]), axis=1) > 34
    lid = places.mesh.left_lids[:3][:, np.abs(np.arange(places.mesh.left_lids.shape[1]) - 27) < 6]
    under = (lid.ravel(), np.array([0.0, 3.0, 1.2]))
    return places.pull([(cheek, np.array([0.4, 6.0, 5.0])), under], held)


def _nose_sneer(places: Places) -> np.ndarray:
    p = places.mesh.points[places.mesh.skin]
    wing = places.near((13.5, -37.5, 102.0), 5.0)
    beside = places.near((13.0, -16.0, 94.0), 4.0)
    inner_brow = places.near((10.0, 16.0, 95.0), 4.0)
    t, upper = places.t, places.side > 0
    pull = np.exp(-0.5 * ((t - 0.42) / 0.28) ** 2) * upper
    lips = vectors(0 * t, 1.5 * pull, 0.2 * pull)
    held = places.far | (p[:, 0] < -3)
    held &= ~((p[:, 1] > 0) & (p[:, 1] < 20) & (np.abs(p[:, 0]) < 18) & (p[:, 2] > 60))
    held |= np.linalg.norm(p - EYE_CENTRE - np.array([0.0, 0.0, 12.0]), axis=1) < 14.0
    pulls = [
        (wing, np.array([1.6, 6.4, -0.4])),
        (beside, np.array([-0.4, 3.0, 3.2])),
        (inner_brow, np.array([-0.8, -1.6, 0.3])),
    ]
    lower = np.unique(places.mesh.mouth[:, places.side < 0])
    held[lower] = True
    return places.move_lips(lips, lips, pulls, held)
