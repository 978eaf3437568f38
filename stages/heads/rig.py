"""A head as engines play it: shapes that are added to a mesh, then joints that carry its vertices along.

Both are what glTF and USD call morph targets (blend shapes) and linear blend skinning, so that nothing is baked and nothing
is lost: every kind of head is played exactly. The neck of a blendshape head follows its rotation in part, which is skinning
by two joints, one of them still. FLAME's corrections for turned joints are linear in the elements of their rotations, so they
are shapes like its expressions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stages.heads.flame import JOINTS, FlameHead
from stages.heads.head import LinearHead
from stages.heads.rotations import rotation_from_yaw_pitch_roll


@dataclass(frozen=True)
class Rig:
    """A face at rest and what moves it.

    Attributes:
        template: (V, 3) f32, head units.
        shape_names: K names.
        shapes: (K, V, 3) f32, displacements at weight 1.
        joint_names: J names; none where nothing turns.
        joints: (J, 3) f32, where each joint lies at rest.
        joint_weights: (V, J) f32, how far each vertex follows each joint; rows sum to 1.
    """

    template: NDArray[np.float32]
    shape_names: tuple[str, ...]
    shapes: NDArray[np.float32]
    joint_names: tuple[str, ...]
    joints: NDArray[np.float32]
    joint_weights: NDArray[np.float32]


@dataclass(frozen=True)
class RigMotion:
    """A take on a rig. Joint j takes a vertex v to R (v - joint) + place, after the shapes were added.

    Attributes:
        weights: (T, K) f32, of the shapes.
        rotations: (T, J, 3, 3) f32, of the joints in space.
        places: (T, J, 3) f32, where the joints go.
    """

    weights: NDArray[np.float32]
    rotations: NDArray[np.float32]
    places: NDArray[np.float32]


def rig_of(head: LinearHead | FlameHead, template: NDArray[np.float32]) -> Rig:
    """The rig of a head on a subject's face at rest (V, 3)."""
    arrays, names = head.record.arrays, head.record.features
    shapes = np.asarray(arrays["basis"], np.float32)
    shape_names = names[: len(shapes)]
    if isinstance(head, FlameHead):
        corrections = np.asarray(arrays["pose_basis"], np.float32)[_corrections(head)]
        corrected = tuple(f"{JOINTS[1 + k // 9]}Correction{k % 9}" for k in _corrections(head))
        return Rig(
            template,
            shape_names + corrected,
            np.concatenate([shapes, corrections]),
            JOINTS,
            np.asarray(arrays["joint_regressor"], np.float32) @ template,
            np.asarray(arrays["skinning_weights"], np.float32),
        )
    if not head.rotates:
        none = np.zeros((0, 3), np.float32)
        return Rig(template, shape_names, shapes, (), none, np.zeros((len(template), 0), np.float32))
    follows = np.asarray(arrays["rotation_weights"], np.float32)
    pivot = np.asarray(arrays["pivot"], np.float32)
    return Rig(
        template,
        shape_names,
        shapes,
        ("neck", "head"),
        np.stack([pivot, pivot]),
        np.stack([1 - follows, follows], axis=1),
    )


def _corrections(head: FlameHead) -> NDArray[np.int64]:
    """Which rows of FLAME's `pose_basis` do anything, of the joints that move."""
    rows = np.arange(9 * (len(JOINTS) - 1))
    moves = np.array([JOINTS[1 + k // 9] in head.joints for k in rows])
    return rows[moves & np.asarray(head.record.arrays["pose_basis"]).any(axis=(1, 2))]


def rig_motion(head: LinearHead | FlameHead, motion: NDArray[np.float32], template: NDArray[np.float32]) -> RigMotion:
    """What a motion (T, D) of a head is on `rig_of(head, template)`."""
    num_shapes = len(head.record.arrays["basis"])
    weights, angles = motion[:, :num_shapes], torch.from_numpy(motion[:, num_shapes:])
    with torch.inference_mode():
        if isinstance(head, FlameHead):
            corrections, turned, places = head.skinning(torch.from_numpy(motion), template=torch.from_numpy(template))
            chosen = corrections.numpy()[:, _corrections(head)]
            return RigMotion(np.concatenate([weights, chosen], axis=1), turned.numpy(), places.numpy())
        if not head.rotates:
            return RigMotion(weights, np.zeros((len(motion), 0, 3, 3), "f4"), np.zeros((len(motion), 0, 3), "f4"))
        rotation = rotation_from_yaw_pitch_roll(angles)
        still = torch.eye(3).expand_as(rotation)
        pivot = np.asarray(head.record.arrays["pivot"], np.float32)
        return RigMotion(
            weights, torch.stack([still, rotation], dim=1).numpy(), np.broadcast_to(pivot, (len(motion), 2, 3))
        )


def quaternions(rotations: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 4) x, y, z, w of rotation matrices (T, 3, 3), each on the side of the one before, so that no joint spins between.

    Source: Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix", J. Guidance 2000: the strongest
    eigenvector of a symmetric 4 by 4 matrix, right at every angle.
    """
    r = rotations.astype(np.float64)
    k = np.zeros((len(r), 4, 4))
    k[:, :3, :3] = r + r.transpose(0, 2, 1) - np.trace(r, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    for row, (i, j) in enumerate(((2, 1), (0, 2), (1, 0))):
        k[:, row, 3] = k[:, 3, row] = r[:, i, j] - r[:, j, i]
    k[:, 3, 3] = np.trace(r, axis1=1, axis2=2)
    quaternions = np.linalg.eigh(k)[1][:, :, -1]
    signs = np.where((quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    first = 1.0 if quaternions[0, 3] >= 0 else -1.0
    return (quaternions * (first * np.cumprod(np.concatenate([[1.0], signs])))[:, None]).astype("<f4")


def yaw_pitch_roll(
    head: LinearHead | FlameHead, motion: NDArray[np.float32], template: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(T, 3) how a motion (T, D) turns the head, as `rotation_from_yaw_pitch_roll` has it; zero where a head does not turn.

    FLAME turns it by its root and by its neck; the neck's rotation in space holds both.
    """
    turned = rig_motion(head, motion, template).rotations  # (T, J, 3, 3)
    if not turned.shape[1]:
        return np.zeros((len(motion), 3), np.float32)
    r = turned[:, JOINTS.index("neck") if isinstance(head, FlameHead) else 1].astype(np.float64)
    pitch = np.arcsin((-r[:, 1, 2]).clip(-1, 1))
    angles = [np.arctan2(r[:, 0, 2], r[:, 2, 2]), pitch, np.arctan2(r[:, 1, 0], r[:, 1, 1])]
    return np.stack(angles, axis=1).astype(np.float32)
