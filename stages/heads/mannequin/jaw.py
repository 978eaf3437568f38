"""Curves of the jaw: it turns and slides at its joint, the lower lip, chin and lower teeth go with it."""

import numpy as np

from stages.heads.mannequin import mouth
from stages.heads.mannequin.deform import follow
from stages.heads.mannequin.places import Places, smooth_step, vectors

JOINT = np.array([0.0, -10.0, 4.0])
OPENING = 0.315  # radians at jawOpen = 1
SLIDE = np.array([0.0, -2.5, 8.0])  # of the joint at jawOpen = 1
CORNER_SHARE = 0.40  # how far the corners of the mouth go with the jaw
MEETING = 0.36  # where closed lips meet between the upper lip (0) and the open jaw (1)


def jaw_weights(places: Places) -> np.ndarray:
    """(V,) how far each vertex goes with the jaw, 0 .. 1."""
    mesh = places.mesh
    p = mesh.points[mesh.skin]
    t, side = np.abs(places.t), places.side
    along = np.where(side > 0, CORNER_SHARE * t**3.5, 1 - (1 - CORNER_SHARE) * t**2.5)
    pulls = [(ring, along) for ring in (*places.lips, *mesh.mouth[mouth.CONTACT + 1 :])]
    # The bone of the chin and the jaw's edge.
    bone = (p[:, 2] > 40) & (p[:, 1] < -94) & (p[:, 1] + 0.55 * (88 - p[:, 2]) > -124)
    bone[mesh.mouth] = False
    edge = np.flatnonzero(bone)
    share = smooth_step(30.0, 62.0, p[edge, 2])
    pulls.append((edge[share > 0.4], share[share > 0.4]))
    vertices = np.concatenate([v for v, _ in pulls])
    values = np.concatenate([w for _, w in pulls])
    vertices, first = np.unique(vertices, return_index=True)
    held = (p[:, 2] < -2) | (p[:, 1] > -26) | (p[:, 1] < -150) | places.far & (p[:, 1] > -30)
    held |= (np.abs(p[:, 0]) < 16) & (p[:, 1] > -52)
    held[mesh.left_ear] = held[mesh.mirror[mesh.left_ear]] = True
    weights = np.zeros(len(mesh.points))
    weights[mesh.skin] = np.clip(follow(places.energy, vertices, values[first][:, None], held)[:, 0], 0.0, 1.0)
    weights[mesh.throat] = 0.5
    weights[mesh.lower_teeth] = 1.0
    weights[mesh.tongue] = 1.0
    return 0.5 * (weights + weights[mesh.mirror])


def jaw_curves(places: Places) -> dict[str, np.ndarray]:
    """Displacements (V, 3) of the four jaw curves and of mouthClose."""
    mesh = places.mesh
    weights = jaw_weights(places)[:, None]
    arm = mesh.points - JOINT
    cos, sin = np.cos(OPENING), np.sin(OPENING)
    turned = np.stack([arm[:, 0], cos * arm[:, 1] - sin * arm[:, 2], sin * arm[:, 1] + cos * arm[:, 2]], 1)
    opened = weights * (turned - arm + SLIDE)
    left = weights * vectors(9.0, 0.0, 0.0)
    return {
        "jawOpen": opened,
        "jawForward": weights * vectors(0.0, -0.5, 7.5),
        "jawLeft": left,
        "jawRight": places.mirrored(left),
        "mouthClose": places.symmetric(_close(places, opened)),
    }


def _close(places: Places, opened: np.ndarray) -> np.ndarray:
    """The corrective that brings the lips together while the jaw is open: each lip goes to a common place."""
    mesh = places.mesh
    contact = mesh.mouth[mouth.CONTACT]
    other = contact[(-np.arange(len(contact)) + 2 * mouth.QUARTER) % len(contact)]  # the column it meets
    is_upper = places.side > 0
    lower = np.where(is_upper, other, contact)
    upper = np.where(is_upper, contact, other)
    meeting = MEETING * opened[lower] + (1 - MEETING) * opened[upper]
    # The red goes as a whole; its border keeps some of the jaw's pull.
    inner = meeting - opened[contact]
    border = 0.9 * inner
    p = mesh.points[mesh.skin]
    held = places.far | ((p[:, 1] < -100) & (p[:, 2] > 30)) | ((np.abs(p[:, 0]) < 16) & (p[:, 1] > -49))
    return places.move_lips(border, inner, held=held)
