"""Curves of the lips. Each says where the border of the red and the contact go; the skin follows (`Places.pull`)."""

import numpy as np

from stages.heads.mannequin import mouth
from stages.heads.mannequin.places import Places, smooth_step, vectors


def mouth_curves(places: Places, opened: np.ndarray) -> dict[str, np.ndarray]:
    """Displacements (V, 3) of the mouth's curves but mouthClose.

    Args:
        places: the mannequin.
        opened: (V, 3) displacement of jawOpen, for the shapes that part the teeth.
    """
    whole = {
        "mouthFunnel": _funnel(places),
        "mouthPucker": _pucker(places),
        "mouthRollLower": _roll_lower(places),
        "mouthRollUpper": _roll_upper(places),
        "mouthShrugLower": _shrug_lower(places),
        "mouthShrugUpper": _shrug_upper(places),
        "tongueOut": _tongue_out(places, opened),
    }
    curves = {name: places.symmetric(d) for name, d in whole.items()}
    one_sided = {
        "mouth": _shift(places),
        "mouthSmile": _smile(places),
        "mouthFrown": _frown(places),
        "mouthDimple": _dimple(places),
        "mouthStretch": _stretch(places),
        "mouthPress": _press(places),
        "mouthLowerDown": _lower_down(places),
        "mouthUpperUp": _upper_up(places),
    }
    for name, left in one_sided.items():
        curves[name + "Left"] = left
        curves[name + "Right"] = places.mirrored(left)
    return curves


def _left_share(t: np.ndarray) -> np.ndarray:
    """How much a left curve moves the lips at t; left and right add up to one."""
    return smooth_step(-0.45, 0.45, t)


def _corner(t: np.ndarray, reach: float = 0.5) -> np.ndarray:
    """1 at the left corner, falling over `reach` of the half mouth."""
    return np.exp(-0.5 * ((1 - t) / reach) ** 2) * smooth_step(-0.5, 0.3, t)


def _funnel(places: Places) -> np.ndarray:
    t, side, x = places.t, places.side, places.t * mouth.CORNER_X
    arch = np.sqrt(np.clip(1 - t**2, 0, 1))
    contact = vectors(-0.44 * x, np.where(side > 0, 4.8, -6.4) * arch, 7.5 - 2.5 * t**2)
    border = vectors(-0.33 * x, np.where(side > 0, 3.4, -5.6) * arch, 4.0 - 0.5 * t**2)
    return places.move_lips(border, contact)


def _pucker(places: Places) -> np.ndarray:
    t, side, x = places.t, places.side, places.t * mouth.CORNER_X
    arch = np.clip(1 - t**2, 0, 1)
    contact = vectors(-0.44 * x, 0.3, 8.0 - 1.0 * t**2)
    border = vectors(-0.36 * x, side * (0.6 * arch + 1.6 * t**2 * arch) + 0.3, 5.0 + 0.5 * t**2)
    return places.move_lips(border, contact, in_the_red=vectors(0 * x, side * 0.3 * arch, 1.2 * arch))


def _shift(places: Places) -> np.ndarray:
    t = places.t
    move = vectors(8.5 - 1.0 * t**2, 0.5 * t, -0.9 * t)
    return places.move_lips(move, move)


def _smile(places: Places) -> np.ndarray:
    t, side = places.t, places.side
    corner, share = _corner(t, 0.42), _left_share(t)
    rise = np.clip(t, 0.0, None) ** 1.9  # the line of a smile is a bow, not a wedge
    contact = vectors(6.8 * corner, 7.8 * rise - 0.4 * share * (1 - rise), -4.6 * corner - 0.9 * share)
    border = contact + vectors(0 * t, -side * 0.9 * share * (1 - corner), -0.3 * share)
    cheek = places.near((41, -33, 80), 9.0)
    fold = places.near((35, -50, 86), 4.0)
    pulls = [(cheek, np.array([1.6, 4.4, 3.2])), (fold, np.array([4.2, 5.4, 1.0]))]
    return places.move_lips(border, contact, pulls)


def _frown(places: Places) -> np.ndarray:
    t = places.t
    corner = _corner(t, 0.40)
    contact = vectors(0.8 * corner, -7.0 * corner, -1.6 * corner)
    chin = places.near((12, -97, 96), 6.0)
    return places.move_lips(contact, contact, [(chin, np.array([0.0, 1.0, 0.4]))])


def _dimple(places: Places) -> np.ndarray:
    t = places.t
    corner = _corner(t, 0.36)
    contact = vectors(5.2 * corner, 1.8 * corner, -5.8 * corner)
    return places.move_lips(contact * np.array([0.9, 1, 0.9]), contact)


def _stretch(places: Places) -> np.ndarray:
    t, side = places.t, places.side
    corner, share = _corner(t, 0.5), _left_share(t)
    contact = vectors(8.2 * corner, -1.6 * corner, -4.2 * corner - 0.6 * share)
    border = contact + vectors(0 * t, -side * 1.2 * share * (1 - corner), -0.5 * share)
    return places.move_lips(border, contact)


def _roll_lower(places: Places) -> np.ndarray:
    t, lower = places.t, places.side < 0
    arch = np.clip(1 - np.abs(t) ** 3, 0, 1) * lower
    contact = vectors(0 * t, 1.0 * arch, -5.2 * arch)
    border = vectors(0 * t, 5.6 * arch * (1 - 0.3 * t**2), -2.6 * arch)
    return places.move_lips(border, contact, in_the_red=vectors(0 * t, 1.0 * arch, -1.4 * arch))


def _roll_upper(places: Places) -> np.ndarray:
    t, upper = places.t, places.side > 0
    arch = np.clip(1 - np.abs(t) ** 3, 0, 1) * upper
    contact = vectors(0 * t, 0.6 * arch, -4.4 * arch)
    border = vectors(0 * t, -4.4 * arch * (1 - 0.3 * t**2), -2.2 * arch)
    return places.move_lips(border, contact, in_the_red=vectors(0 * t, -0.8 * arch, -1.2 * arch))


def _shrug_lower(places: Places) -> np.ndarray:
    t, side = places.t, places.side
    arch = np.clip(1 - t**2, 0, 1)
    contact = vectors(0 * t, 4.2 * arch, np.where(side > 0, 2.2, 3.2) * arch)
    border = vectors(0 * t, np.where(side > 0, 3.2, 5.2) * arch, np.where(side > 0, 1.0, 3.4) * arch)
    chin = places.near((0, -99, 97), 9.0)
    return places.move_lips(border, contact, [(chin, np.array([0.0, 4.6, 0.8]))])


def _shrug_upper(places: Places) -> np.ndarray:
    t, side = places.t, places.side
    arch = np.clip(1 - t**2, 0, 1)
    contact = vectors(0 * t, 2.6 * arch, 3.0 * arch)
    border = vectors(0 * t, np.where(side > 0, 3.8, 1.6) * arch, np.where(side > 0, 3.0, 0.8) * arch)
    return places.move_lips(border, contact)


def _press(places: Places) -> np.ndarray:
    t, side = places.t, places.side
    share, corner = _left_share(t), _corner(t, 0.35)
    arch = np.clip(1 - np.abs(t) ** 3, 0, 1) * share
    contact = vectors(0.8 * corner, 0.4 * arch + 0.5 * corner, -1.8 * arch - 1.2 * corner)
    border = vectors(0.8 * corner, -side * np.where(side > 0, 2.0, 2.6) * arch + 0.4 * arch, -1.0 * arch - 0.6 * corner)
    return places.move_lips(border, contact, in_the_red=vectors(0 * t, 0 * t, -1.2 * arch))


def _window(t: np.ndarray) -> np.ndarray:
    """Where the muscles beside the middle of the lips pull: widest between middle and corner, nothing at the corner."""
    return np.clip(1 - np.abs(t) ** 2.6, 0, 1) * smooth_step(-0.5, 0.5, t)


def _lower_down(places: Places) -> np.ndarray:
    t, lower = places.t, places.side < 0
    pull = _window(t) * lower
    return places.move_lips(
        vectors(0.6 * pull, -6.4 * pull, 0.2 * pull),
        vectors(0.9 * pull, -8.0 * pull, 0.2 * pull),
        [(places.near((10, -98, 96), 5.0), np.array([0.3, -1.6, -0.2]))],
    )


def _upper_up(places: Places) -> np.ndarray:
    t, upper = places.t, places.side > 0
    pull = _window(t) * upper
    wing = places.near((17, -43, 97), 3.5)
    return places.move_lips(
        vectors(0.6 * pull, 5.0 * pull, -0.4 * pull),
        vectors(0.9 * pull, 6.8 * pull, -0.6 * pull),
        [(wing, np.array([0.5, 2.0, 0.2]))],
    )


def _tongue_out(places: Places, opened: np.ndarray) -> np.ndarray:
    """The tongue stretches out over the lower lip; teeth and lips part to let it through."""
    mesh = places.mesh
    room = 0.26
    t, side = places.t, places.side
    arch = np.sqrt(np.clip(1 - t**2, 0, 1))
    lips = vectors(0 * t, np.where(side > 0, 1.2, -1.5) * arch, np.where(side > 0, 0.0, 1.5) * arch)
    displacement = room * opened + places.move_lips(lips, lips)
    p = mesh.points[mesh.tongue]
    root, tip = p[:, 2].min(), p[:, 2].max()
    along = (p[:, 2] - root) / (tip - root)
    out = smooth_step(0.15, 1.0, along)
    middle_y = -77.0
    target_z = p[:, 2] + 43.0 * along**1.4
    middle = middle_y + room * opened[mesh.tongue, 1] * along + 9.2 * smooth_step(0.3, 0.75, along)
    middle -= 8.0 * smooth_step(0.72, 1.0, along)
    thinner = 1 - 0.42 * out
    target_y = middle + (p[:, 1] - middle_y) * thinner
    displacement[mesh.tongue] = vectors(-0.05 * p[:, 0] * out, target_y - p[:, 1], target_z - p[:, 2])
    return displacement
