"""Heads and their motion as a page plays them: quantised shapes and weights, not vertices.

Every kind of head is a rig: shapes that are added, then joints that carry vertices along. Blend shapes, principal
displacements and FLAME's expressions with its corrections all play exactly by it. A recording whose exact vertices a corpus
keeps gets shapes of its own, the principal ones of that clip: as many as it takes to come close enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.heads.flame import FlameHead
from stages.heads.head import LinearHead, rotation_features
from stages.heads.rig import Rig, rig_motion, rig_of
from stages.rendering.page.packing import pack, pack_rows, pack_shapes

# A step of a shape at its greatest weight, as a share of the head's size: about 10 micrometres of a person's.
_STEP_OF_SIZE = 3e-5
# How far a recording's own shapes may leave a vertex from where it was: about 0.1 mm.
_RECORDED_OF_SIZE = 3e-4

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Moving:
    """What moves one head on a page through T frames.

    Attributes:
        weights: (T, K) of the rig's shapes.
        transforms: (T, J, 3, 4), where joints take vertices: R v + shift.
        still_weights, still_transforms: the same with the head held still, as the metrics see it.
        curves: (T, C), what can be plotted.
        shapes: (K, V, 3) where the head has shapes of its own; None where they are the rig's.
    """

    weights: Array
    transforms: Array
    still_weights: Array
    still_transforms: Array
    curves: Array
    shapes: Array | None = None


def moved_by_motion(head: LinearHead | FlameHead, motion: Array, template: Array, curves: Array) -> Moving:
    """A motion (T, D) on a subject's face at rest."""
    still = motion.copy()
    turning = [head.record.features.index(name) for name in rotation_features(head.record)]
    still[:, turning] = 0
    joints = rig_of(head, template).joints
    (weights, transforms), (still_weights, still_transforms) = (
        _weights_and_transforms(head, joints, values, template) for values in (motion, still)
    )
    return Moving(weights, transforms, still_weights, still_transforms, curves)


def _weights_and_transforms(
    head: LinearHead | FlameHead, joints: Array, motion: Array, template: Array
) -> tuple[Array, Array]:
    played = rig_motion(head, motion, template)
    shift = played.places - np.einsum("tjab,jb->tja", played.rotations, joints)
    return played.weights, np.concatenate([played.rotations, shift[..., None]], axis=-1).astype("f4")


def moved_by_vertices(vertices: Array, template: Array, num_joints: int, curves: Array) -> Moving:
    """Vertices (T, V, 3) as they are, by their own principal shapes."""
    away = (vertices - template).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh((away @ away.T).astype(np.float64))
    order = [k for k in np.argsort(-values) if values[k] > 1e-12 * max(values.max(), 1e-30)]
    weights = vectors[:, order].astype("f4")  # (T, K), orthonormal
    shapes = weights.T @ away  # (K, 3 V)
    weights, shapes = _enough(weights, shapes, away, _RECORDED_OF_SIZE * size_of(template))
    still = np.broadcast_to(np.eye(3, 4, dtype="f4"), (len(vertices), num_joints, 3, 4))
    return Moving(weights, still, weights, still, curves, shapes.reshape(-1, *template.shape))


def _enough(weights: Array, shapes: Array, away: Array, tolerance: float) -> tuple[Array, Array]:
    """The fewest shapes, of those in order, that leave no vertex further than `tolerance` away."""
    fewest, most = 0, len(shapes)
    while fewest < most:
        middle = (fewest + most) // 2
        left = away - weights[:, :middle] @ shapes[:middle]
        if np.sqrt(np.square(left).reshape(len(left), -1, 3).sum(-1).max()) > tolerance:
            fewest = middle + 1
        else:
            most = middle
    return weights[:, :fewest], shapes[:fewest]


def size_of(template: Array) -> float:
    """The largest side of a head's box, head units."""
    return float((template.max(0) - template.min(0)).max())


def pack_rig(rig: Rig, all_moving: Sequence[Moving]) -> dict[str, Any]:
    """The head's rig, as fine as those that it moves need; `joints` are (J, V) in 65 535ths."""
    greatest = np.max(
        [np.abs(m.weights).max(0) for m in all_moving if m.shapes is None] or [np.zeros(len(rig.shapes))], 0
    )
    weights = np.rint(np.clip(rig.joint_weights.T, 0, 1) * 65_535).astype(np.uint16)
    return {
        "shapes": pack_shapes(rig.shapes, greatest, _STEP_OF_SIZE * size_of(rig.template)),
        "joints": pack(weights, differences=True),
    }


def pack_moving(moving: Moving, template: Array) -> dict[str, Any]:
    """One head's motion: `rows`, and how many of them are weights, numbers of transforms, curves ... in this order."""
    parts = {
        "weights": moving.weights,
        "stillWeights": moving.still_weights,
        "transforms": moving.transforms.reshape(len(moving.transforms), -1),
        "stillTransforms": moving.still_transforms.reshape(len(moving.still_transforms), -1),
        "curves": moving.curves,
    }
    # What is not told apart is stored once.
    if np.array_equal(moving.weights, moving.still_weights):
        parts["stillWeights"] = moving.still_weights[:, :0]
    packed: dict[str, Any] = {
        "rows": pack_rows(np.concatenate(list(parts.values()), axis=1).T),
        "counts": {name: part.shape[1] for name, part in parts.items()},
    }
    if moving.shapes is not None:
        greatest = np.abs(moving.weights).max(0) if moving.weights.size else np.zeros(0, "f4")
        packed["shapes"] = pack_shapes(moving.shapes, greatest, _STEP_OF_SIZE * size_of(template))
    return packed


def lip_opening(head: LinearHead | FlameHead, motion: Array, template: Array, vertices: Array | None) -> Array:
    """Distance (T,) of the mid-points of the inner lips, head units."""
    marks = [head.record.landmarks["lip_top"], head.record.landmarks["lip_bottom"]]
    top, bottom = places(head, motion, template, np.array(marks), vertices).swapaxes(0, 1)
    return np.linalg.norm(top - bottom, axis=-1)


def places(
    head: LinearHead | FlameHead, motion: Array, template: Array, indices: NDArray[Any], vertices: Array | None
) -> Array:
    """Some vertices (T, M, 3), the head held still: the exact ones where they are kept."""
    if vertices is not None:
        return vertices[:, indices]
    with torch.inference_mode():
        found = head.vertices(
            torch.from_numpy(motion), template=torch.from_numpy(template), indices=torch.from_numpy(indices), pose=False
        )
    return found.numpy()
