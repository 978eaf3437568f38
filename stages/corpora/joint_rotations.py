"""Rotations of FLAME's joints as files give them, made axis-angle.

A joint has 3 values a frame (axis-angle, radians), 6 (the first two rows of its matrix, the form of Zhou et al., CVPR 2019, as
PyTorch3D and MICA's metrical tracker write it), 9 (the whole matrix, row by row), or, the jaw alone, 1 (opening).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError

# Half a turn and a little: no joint of a face turns further, and degrees do.
_MAX_ANGLE = 3.5
# Rows of a rotation matrix have length 1; what an optimiser leaves of six numbers, or float16, is not far from it.
_SHORTEST_ROW, _LONGEST_ROW = 0.5, 2.0


def joint_angles(path: Path, joint: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Axis-angle (T, 3), radians.

    Args:
        path: for messages.
        joint: likewise.
        values: (T, 3), (T, 6) or (T, 9); the jaw's (T, 1) too.

    Raises:
        ThunderError: another number of values, no rotation, or angles in degrees.
    """
    count = values.shape[1]
    if joint == "jaw" and count == 1:  # Opening only, as models that predict nothing else write it.
        angles = np.pad(values, ((0, 0), (0, 2)))
    elif count == 3:
        angles = values
    elif count in (6, 9):
        length = np.linalg.norm(values.reshape(len(values), -1, 3), axis=-1)
        if length.min() < _SHORTEST_ROW or length.max() > _LONGEST_ROW:
            raise ThunderError(
                f"{path}: {joint} of {count} values, wanted rows of a rotation matrix, each about 1 long, found "
                f"{length.min():.3g} to {length.max():.3g}; give axis-angle, 3 values a frame in radians"
            )
        angles = _axis_angle(values[:, :3], values[:, 3:6])
    else:
        raise ThunderError(
            f"{path}: {joint} wanted 3 values a frame, axis-angle in radians (or 6 or 9 of its matrix), found {count}"
        )
    largest = float(np.linalg.norm(angles, axis=1).max())
    if largest > _MAX_ANGLE:
        raise ThunderError(f"{path}: {joint} turned by {largest:.3g}, wanted radians, axis-angle; convert it")
    return angles


def _axis_angle(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rotations (T, 3) whose matrices have these first two rows (T, 3), made orthonormal by Gram and Schmidt.

    By way of the unit quaternion, whose largest part is found first so that nothing small is divided by.
    """
    x = first.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = second - (x * second).sum(axis=1, keepdims=True) * x
    y /= np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
    r = np.stack([x, y, np.cross(x, y)], axis=1)  # (T, 3, 3)
    r00, r11, r22 = r[:, 0, 0], r[:, 1, 1], r[:, 2, 2]
    a, b, c = r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]
    d, e, f = r[:, 0, 1] + r[:, 1, 0], r[:, 0, 2] + r[:, 2, 0], r[:, 1, 2] + r[:, 2, 1]
    # Row k is 4 q_k times the quaternion (w, x, y, z).
    products = np.stack(
        [
            np.stack([1 + r00 + r11 + r22, a, b, c], axis=-1),
            np.stack([a, 1 + r00 - r11 - r22, d, e], axis=-1),
            np.stack([b, d, 1 - r00 + r11 - r22, f], axis=-1),
            np.stack([c, e, f, 1 - r00 - r11 + r22], axis=-1),
        ],
        axis=1,
    )  # (T, 4, 4)
    largest = np.einsum("tkk->tk", products).argmax(axis=1)
    quaternion = products[np.arange(len(r)), largest]
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    quaternion *= np.where(quaternion[:, :1] < 0, -1.0, 1.0)  # the shorter way round
    sine = np.linalg.norm(quaternion[:, 1:], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[:, :1])
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return (scale * quaternion[:, 1:]).astype(np.float32)
