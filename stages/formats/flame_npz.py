"""FLAME coefficients of a take as one .npz, under the names that trackers and animators of FLAME know.

    expression (T, K), jaw_pose, global_orient, neck_pose, leye_pose, reye_pose (T, 3)   as FLAME and smplx call them
    exp (T, K), pose (T, 6), head and jaw                                                 as DiffPoseTalk, EMOCA and EMOTE do
    template (V, 3), the face at rest, which holds what shape coefficients would say; fps

Rotations are axis-angle, radians.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.heads.flame import JOINT_FEATURES
from stages.runtime.atomic_file import whole_or_none

_KEYS = {
    "jaw": "jaw_pose",
    "head": "global_orient",
    "neck": "neck_pose",
    "eyeLeft": "leye_pose",
    "eyeRight": "reye_pose",
}


def write_flame_npz(
    path: Path, motion: NDArray[np.float32], features: tuple[str, ...], template: NDArray[np.float32], fps: float
) -> None:
    """Writes a take; joints that the head does not turn have no key of their own.

    Args:
        path: file to write; an existing one is replaced when the new one is whole.
        motion: (T, D).
        features: D names, those of a FLAME head.
        template: (V, 3), the subject's face at rest.
        fps: frames a second.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    column = {name: motion[:, k] for k, name in enumerate(features)}
    still = np.zeros((len(motion), 3), np.float32)
    turned = {
        joint: np.stack([column[name] for name in names], axis=1)
        for joint, names in JOINT_FEATURES.items()
        if names[0] in column
    }
    expression = motion[:, [k for k, name in enumerate(features) if name.startswith("exp")]]
    content: dict[str, Any] = {
        "expression": expression,
        "exp": expression,
        "pose": np.concatenate([turned.get("head", still), turned.get("jaw", still)], axis=1),
        "template": template,
        "fps": np.float64(fps),
    }
    content |= {_KEYS[joint]: angles for joint, angles in turned.items()}
    with whole_or_none(path) as partial:
        np.savez(partial, **content)
