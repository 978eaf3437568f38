"""Colours of the mannequin's vertices: a calm skin, rosier where blood is near, and eyes that read from afar."""

import numpy as np

from stages.heads.mannequin import brows, eyes, mouth
from stages.heads.mannequin.mesh import Mesh
from stages.heads.mannequin.places import smooth_step

# sRGB, 0 .. 255
SKIN, ROSE, LIP = (226, 180, 156), (216, 142, 124), (198, 118, 108)
HAIR, HAIR_TOP = (86, 62, 50), (112, 84, 64)
BROW, LASH, CAVITY = (88, 61, 48), (70, 44, 36), (62, 20, 20)
SCLERA, IRIS, IRIS_EDGE, PUPIL = (240, 236, 230), (92, 122, 116), (38, 54, 54), (14, 12, 12)
TOOTH, GUM, TONGUE = (240, 232, 218), (190, 104, 102), (196, 100, 98)


def linear(srgb: tuple[int, int, int]) -> np.ndarray:
    """Linear RGB, 0 .. 1, of an sRGB colour."""
    c = np.array(srgb) / 255.0
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def colour(mesh: Mesh) -> np.ndarray:
    """(V, 3) linear RGB of every vertex."""
    p = mesh.points
    colours = np.tile(linear(SKIN), (len(p), 1))

    def blend(weight: np.ndarray, srgb: tuple[int, int, int], vertices: np.ndarray | slice = slice(None)) -> None:
        w = np.clip(weight, 0, 1)[:, None]
        colours[vertices] = (1 - w) * colours[vertices] + w * linear(srgb)

    def spot(centre: tuple[float, ...], sigma: tuple[float, ...]) -> np.ndarray:
        q = np.stack([np.abs(p[:, 0]), p[:, 1], p[:, 2]], 1)
        return np.exp(-0.5 * (((q - np.array(centre)) / np.array(sigma)) ** 2).sum(1))

    blend(0.36 * spot((41, -32, 78), (14, 11, 20)), ROSE)
    blend(0.45 * spot((0, -36, 116), (12, 8, 14)), ROSE)
    blend(0.25 * spot((0, -104, 95), (14, 9, 14)), ROSE)
    for ear in (mesh.left_ear, mesh.mirror[mesh.left_ear]):
        blend(np.full(len(ear), 0.35), ROSE, ear)
    blend(0.75 * spot((5.8, -45.5, 107), (2.6, 2.6, 4.0)), CAVITY)  # nostrils

    columns = np.arange(brows.COLUMNS) / (brows.COLUMNS - 1)
    strength = np.array([0.6, 0.95, 0.95, 0.45])[:, None] * np.clip(0.35 + 6 * columns, 0, 1) * (1 - 0.5 * columns**4)
    for brow in (mesh.left_brow, mesh.mirror[mesh.left_brow]):
        blend(strength.ravel(), BROW, brow.ravel())

    for image in (np.arange(len(p)), mesh.mirror):
        blend(np.full(len(mesh.left_hairline), 0.25), HAIR, image[mesh.left_hairline])
        hair = image[mesh.left_hair]
        colours[hair] = linear(HAIR)
        blend(0.5 * smooth_step(20.0, 120.0, p[hair, 1]), HAIR_TOP, hair)

    red = mesh.mouth[mouth.BORDER : mouth.CONTACT + 2]
    strength = np.array([0.55, *([0.92] * (len(red) - 1))])
    blend(np.repeat(strength, red.shape[1]), LIP, red.ravel())
    inside = mesh.mouth[mouth.CONTACT + 2 :]
    for ring, share in zip(inside, (0.35, *([1.0] * (len(inside) - 1))), strict=True):
        blend(np.full(len(ring), 0.95), LIP, ring)
        blend(np.full(len(ring), share), CAVITY, ring)
    colours[mesh.throat] = linear(CAVITY) * 0.6

    _, side = eyes.lid_parameter()
    lash = np.where(side > 0, 0.85, np.where(side < 0, 0.35, 0.5))
    for lids in (mesh.left_lids, mesh.right_lids):
        blend(0.75 * lash, LASH, lids[eyes.MARGIN])
        blend(lash, LASH, lids[eyes.MARGIN + 1])
        blend(lash, LASH, lids[eyes.MARGIN + 2])

    for ball in (mesh.left_eye, mesh.right_eye):
        angle = np.concatenate([[0.0], np.repeat(eyes.BALL_ANGLES, eyes.BALL_COLUMNS), [np.pi]])
        outer = smooth_step(eyes.PUPIL_ANGLE, eyes.IRIS_ANGLE, angle)[:, None]
        iris = (1 - outer**2) * linear(IRIS) + outer**2 * linear(IRIS_EDGE)
        colours[ball] = np.where(
            (angle < eyes.PUPIL_ANGLE)[:, None],
            linear(PUPIL),
            np.where((angle < eyes.IRIS_ANGLE)[:, None], iris, linear(SCLERA)),
        )
    for row in (mesh.upper_teeth, mesh.lower_teeth):
        w = mesh.tooth[row][:, None]
        colours[row] = w * linear(TOOTH) + (1 - w) * linear(GUM)
        # Where the mouth opens wide, light finds the front teeth; the back ones stand in the dark of the cheeks.
        colours[row] *= 0.05 + 0.95 * smooth_step(66.0, 86.0, p[row, 2])[:, None]
    colours[mesh.tongue] = linear(TONGUE)
    return np.clip(colours, 0.0, 1.0)
