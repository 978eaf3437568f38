"""The mannequin as a head record: rest pose, the 52 ARKit curves, regions, landmarks, colours."""

import numpy as np

from stages.artifacts.head_record import HeadRecord
from stages.heads.arkit import ARKIT_CURVES, ARKIT_FEATURES
from stages.heads.mannequin import mouth
from stages.heads.mannequin.brow_curves import brow_curves
from stages.heads.mannequin.colours import colour
from stages.heads.mannequin.eye_curves import eye_curves
from stages.heads.mannequin.jaw import jaw_curves
from stages.heads.mannequin.mesh import Mesh, build_mesh
from stages.heads.mannequin.mouth_curves import mouth_curves
from stages.heads.mannequin.places import Places, smooth_step

PIVOT = np.array([0.0, -34.0, -14.0])  # the atlas, mm
_MM = 1e-3


def build_mannequin() -> HeadRecord:
    """Builds the embedded head: a mannequin and its ARKit blendshapes, the same every time."""
    mesh = build_mesh()
    places = Places(mesh)
    curves = jaw_curves(places)
    curves |= mouth_curves(places, curves["jawOpen"])
    curves |= eye_curves(places)
    curves |= brow_curves(places)
    basis = np.stack([curves[name] for name in ARKIT_CURVES])
    # What moves by less than a hundredth of a millimetre stands still.
    basis[np.linalg.norm(basis, axis=-1) < 0.01] = 0.0
    contact = mesh.mouth[mouth.CONTACT]
    return HeadRecord(
        kind="blendshape",
        name="mannequin",
        units="m",
        template=(_MM * mesh.points).astype(np.float32),
        faces=mesh.faces.astype(np.int32),
        features=ARKIT_FEATURES,
        regions={name: np.sort(v).astype(np.int32) for name, v in regions(mesh).items()},
        landmarks={
            "lip_top": int(contact[0]),
            "lip_bottom": int(contact[2 * mouth.QUARTER]),
            "mouth_left": int(contact[mouth.QUARTER]),
            "mouth_right": int(contact[3 * mouth.QUARTER]),
            "chin": _on_middle(mesh, np.array([0.0, -106.0, 120.0])),
            "nose_tip": int(np.argmax(mesh.points[:, 2])),
        },
        arrays={
            "basis": (_MM * basis).astype(np.float32),
            "rotation_weights": rotation_weights(mesh).astype(np.float32),
            "pivot": (_MM * PIVOT).astype(np.float32),
            "colours": colour(mesh).astype(np.float32),
        },
    )


def _on_middle(mesh: Mesh, target: np.ndarray) -> int:
    """The vertex of the outer skin in the plane of symmetry nearest to a point."""
    distance = np.linalg.norm(mesh.points - target, axis=1)
    distance[mesh.points[:, 0] != 0] = np.inf
    distance[len(mesh.skin) :] = np.inf
    return int(np.argmin(distance))


def rotation_weights(mesh: Mesh) -> np.ndarray:
    """(V,) how far each vertex turns with the head: 1 on the head, 0 at the bottom of the neck."""
    p = mesh.points
    height = p[:, 1] + 0.5 * np.clip(p[:, 2] - 30.0, 0.0, None)
    weights = smooth_step(-183.0, -98.0, height)
    weights[len(mesh.skin) :] = 1.0
    weights[mesh.mouth] = 1.0
    weights[mesh.throat] = 1.0
    return weights


def regions(mesh: Mesh) -> dict[str, np.ndarray]:
    """Named sets of vertices."""
    p = mesh.points[mesh.skin]
    outer = np.ones(len(p), bool)  # not the inside of the mouth
    outer[mesh.mouth[mouth.CONTACT + 2 :]] = False
    outer[mesh.throat] = False
    ears = np.zeros(len(p), bool)
    ears[mesh.left_ear] = ears[mesh.mirror[mesh.left_ear]] = True
    front = outer & ~ears
    around = front & (p[:, 1] < -50) & (p[:, 1] > -122) & (p[:, 2] > 58) & (np.abs(p[:, 0]) < 46)
    around[mesh.mouth[: mouth.CONTACT + 2]] = True
    upper = front & (p[:, 1] > -26) & (p[:, 1] < 62) & (p[:, 2] > 42)
    return {
        "lips": np.unique(mesh.mouth[mouth.BORDER : mouth.CONTACT + 2]),
        "mouth": np.flatnonzero(around),
        "upper_face": np.flatnonzero(upper),
        "skin": mesh.skin,
        "eyes": np.concatenate([mesh.left_eye, mesh.right_eye]),
        "teeth": np.concatenate([mesh.upper_teeth, mesh.lower_teeth]),
        "tongue": mesh.tongue,
        "scalp": np.flatnonzero(outer & ~ears & (p[:, 2] < 0) & (p[:, 1] > 0)),
    }
