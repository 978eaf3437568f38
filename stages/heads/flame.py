"""FLAME heads: shapes of expression, then joints that turn, by linear blend skinning.

Source: Li, Bolkart, Black, Li, Romero, "Learning a model of facial shape and expression from 4D scans", SIGGRAPH Asia 2017,
eqs. 1 to 5. Vertices at rest are T + E psi + P (R(theta) - I): the subject's template, expressions, and corrections for the
rotation of each joint. Joints lie where the regressor puts them on T + E psi. Each vertex then follows the joints by its
weights. Identity (FLAME's shape coefficients beta) is in the template, so a motion is expression and rotations only.
"""

import numpy as np
import torch
from torch import Tensor, nn

from stages.artifacts.head_record import HeadRecord
from stages.heads.rotations import rotation_from_axis_angle
from stages.runtime.errors import ThunderError

# FLAME's joints in their order in the file: the root, which turns everything, and what hangs on it.
JOINTS = ("head", "neck", "jaw", "eyeLeft", "eyeRight")
# Axis-angle components of a joint's rotation relative to its parent, radians.
JOINT_FEATURES: dict[str, tuple[str, ...]] = {joint: tuple(f"{joint}{axis}" for axis in "XYZ") for joint in JOINTS}
# What `pose=False` leaves out.
FLAME_ROTATION: tuple[str, ...] = JOINT_FEATURES["head"] + JOINT_FEATURES["neck"]
# Joints whose features a motion may have, in the order of its columns: head rotation stands last, as in every head.
_ORDER = ("jaw", "eyeLeft", "eyeRight", "neck", "head")


def flame_features(num_expressions: int, joints: tuple[str, ...]) -> tuple[str, ...]:
    """Names of motion features: `exp000` ..., then `jawX` ... of each joint that moves, in the order of `FlameHead`."""
    expressions = tuple(f"exp{k:03d}" for k in range(num_expressions))
    return sum((JOINT_FEATURES[joint] for joint in _ORDER if joint in joints), expressions)


class FlameHead(nn.Module):
    """Kind `flame`. Arrays of the record: `basis` (K, V, 3), the expressions; `pose_basis` (9 (J - 1), V, 3), for the rows of
    each joint's R - I but the root's; `joint_regressor` (J, V); `skinning_weights` (V, J); `parents` (J,), -1 for the root.

    Features are `flame_features` of K expressions and of any of the joints; a joint without features does not turn.
    """

    template: Tensor
    basis: Tensor
    pose_basis: Tensor
    joint_regressor: Tensor
    joint_basis: Tensor
    skinning_weights: Tensor

    def __init__(self, record: HeadRecord) -> None:
        super().__init__()
        self.record = record
        missing = [name for name in _ARRAYS if name not in record.arrays]
        if missing:
            raise ThunderError(
                f"head {record.name}: array {missing[0]!r} is missing; make the file that holds the head again"
            )
        self.joints = tuple(joint for joint in _ORDER if JOINT_FEATURES[joint][0] in record.features)
        wanted = flame_features(len(record.arrays["basis"]), self.joints)
        if record.features != wanted:
            raise ThunderError(
                f"head {record.name}: {len(record.arrays['basis'])} expressions and joints {', '.join(self.joints)} want "
                f"{len(wanted)} features, exp000 to {wanted[-1] if wanted else ''}, found {len(record.features)}"
            )
        self.parents = [int(p) for p in record.arrays["parents"]]
        if len(self.parents) != len(JOINTS) or any(
            not (p < j and (p >= 0) == (j > 0)) for j, p in enumerate(self.parents)
        ):
            raise ThunderError(
                f"head {record.name}: parents wanted {len(JOINTS)} joints, the root -1 first and parents before children, "
                f"found {self.parents}; make the file that holds the head again"
            )
        self.register_buffer("template", torch.from_numpy(record.template), persistent=False)
        for name in _ARRAYS:
            if name != "parents":
                self.register_buffer(name, torch.from_numpy(np.asarray(record.arrays[name], "f4")), persistent=False)
        self.register_buffer("joint_basis", self.joint_regressor @ self.basis, persistent=False)  # (K, J, 3)

    def vertices(
        self, motion: Tensor, *, template: Tensor | None = None, indices: Tensor | None = None, pose: bool = True
    ) -> Tensor:
        """See `Head.vertices`; `pose=False` leaves out the rotation of root and neck.

        Raises:
            ValueError: the motion has another number of features than the head.
        """
        if motion.shape[-1] != len(self.record.features):
            raise ValueError(f"motion wanted (..., T, {len(self.record.features)}), found {tuple(motion.shape)}")
        template = self.template if template is None else template
        basis, weights = self.basis, self.skinning_weights
        num_shapes = len(basis)
        expression = motion[..., :num_shapes]
        joints = self.joint_regressor @ template + (expression @ self.joint_basis.flatten(1)).unflatten(-1, (-1, 3))
        if indices is not None:
            template, basis, weights = template[..., indices, :], basis[:, indices], weights[indices]
        vertices = template + (expression @ basis.flatten(1)).unflatten(-1, (-1, 3))  # (..., T, V, 3)
        turns = self._turns(motion[..., num_shapes:], pose=pose)  # joint -> (..., T, 3, 3)
        for j, turn in turns.items():
            if j > 0:  # The root turns all of the head alike, so nothing is there to correct.
                rows = self.pose_basis[9 * (j - 1) : 9 * j]
                rows = rows if indices is None else rows[:, indices]
                vertices = vertices + (turn.flatten(-2) @ rows.flatten(1)).unflatten(-1, (-1, 3))
        moved = vertices
        for j, (turn, shift) in self._in_the_world(turns, joints).items():
            # (R - I)(v - joint) + shift, by whole columns: many times faster than a matrix product of (V, 3) by (3, 3) a frame.
            constant = shift - (turn @ joints[..., j, :, None])[..., 0]  # (..., T, 3)
            columns = turn.unsqueeze(-3).unbind(-1)  # 3 of (..., T, 1, 3)
            away = sum((vertices[..., k : k + 1] * column for k, column in enumerate(columns)), constant.unsqueeze(-2))
            moved = moved + weights[:, j, None] * away
        return moved

    def skinning(self, motion: Tensor, *, template: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What engines need to play a motion: how strong the corrections are, and where every joint goes.

        A joint that rests at j_0 (of the template, without expression) takes a vertex v to R (v - j_0) + place.

        Args:
            motion: (T, D).
            template: (V, 3), as in `vertices`.

        Returns:
            corrections: (T, 9 (J - 1)), weights of `pose_basis`.
            rotations: (T, J, 3, 3), of every joint in space.
            places: (T, J, 3), head units.
        """
        template = self.template if template is None else template
        num_shapes = len(self.basis)
        rest = self.joint_regressor @ template  # (J, 3)
        joints = rest + (motion[:, :num_shapes] @ self.joint_basis.flatten(1)).unflatten(-1, (-1, 3))  # (T, J, 3)
        turns = self._turns(motion[:, num_shapes:], pose=True)
        still = torch.zeros(len(motion), 3, 3, dtype=motion.dtype, device=motion.device)
        corrections = torch.cat([turns.get(j, still).flatten(1) for j in range(1, len(JOINTS))], dim=1)
        rotations = torch.eye(3, dtype=motion.dtype, device=motion.device).expand(*joints.shape, 3).clone()
        places = rest.expand_as(joints).clone()
        for j, (turn, shift) in self._in_the_world(turns, joints).items():
            rotations[:, j] += turn
            places[:, j] += (turn @ (rest[j] - joints[:, j]).unsqueeze(-1))[..., 0] + shift
        return corrections, rotations, places

    def _turns(self, angles: Tensor, *, pose: bool) -> dict[int, Tensor]:
        """R - I of each joint that has features, relative to its parent."""
        identity = torch.eye(3, dtype=angles.dtype, device=angles.device)
        return {
            JOINTS.index(joint): rotation_from_axis_angle(angles[..., 3 * k : 3 * k + 3]) - identity
            for k, joint in enumerate(self.joints)
            if pose or joint not in ("head", "neck")
        }

    def _in_the_world(self, turns: dict[int, Tensor], joints: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """R - I and displacement of each joint that moves, all of its ancestors taken into account.

        Differences from rest, and not the transforms themselves, are chained, so that rest is exactly rest and joints that do
        not move cost nothing.
        """
        world: dict[int, tuple[Tensor, Tensor]] = {}
        for j, parent in enumerate(self.parents):
            turn = turns.get(j)
            above = world.get(parent)
            if above is None:
                if turn is not None:
                    world[j] = turn, torch.zeros_like(turn[..., 0])
                continue
            parent_turn, parent_shift = above
            arm = (joints[..., j, :] - joints[..., parent, :]).unsqueeze(-1)
            shift = parent_shift + (parent_turn @ arm)[..., 0]
            world[j] = (parent_turn if turn is None else parent_turn + turn + parent_turn @ turn), shift
        return world


_ARRAYS = ("basis", "pose_basis", "joint_regressor", "skinning_weights", "parents")
