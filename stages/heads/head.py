"""A head turns motion (..., T, D) into vertices (..., T, V, 3), differentiably."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stages.artifacts.files import read_artifact
from stages.artifacts.head_record import HeadRecord, read_head
from stages.heads.arkit import HEAD_ROTATION
from stages.heads.flame import FLAME_ROTATION, FlameHead
from stages.heads.rotations import rotation_from_yaw_pitch_roll
from stages.runtime.assets import asset_path
from stages.runtime.errors import ThunderError


class Head(Protocol):
    """What every kind of head offers."""

    record: HeadRecord

    def vertices(
        self, motion: Tensor, *, template: Tensor | None = None, indices: Tensor | None = None, pose: bool = True
    ) -> Tensor:
        """Vertices of a motion.

        Args:
            motion: (..., T, D).
            template: (V, 3) or (..., 1, V, 3), a subject's face at rest; the head's own where None. Head units.
            indices: (M,) int64, to compute only these vertices.
            pose: False leaves out head rotation, so that nodding is not speech.

        Returns:
            (..., T, V, 3), or (..., T, M, 3) with `indices`; head units.
        """
        ...

    def to(self, device: torch.device) -> "Head":
        """The head with its arrays on `device`."""
        ...


class LinearHead(nn.Module):
    """Kinds `blendshape` and `displacement`: a template, plus a weighted sum of shapes, plus head rotation.

    The K shapes belong to the first K features. A blendshape head has three more, yaw, pitch and roll, about `pivot`;
    `rotation_weights` (V,) says how far each vertex follows, 1 on the skull and falling to 0 at the foot of the neck.
    """

    template: Tensor
    basis: Tensor
    pivot: Tensor
    rotation_weights: Tensor

    def __init__(self, record: HeadRecord) -> None:
        super().__init__()
        self.record = record
        num_shapes = len(_array(record, "basis"))
        if len(record.features) not in (num_shapes, num_shapes + 3):
            raise ThunderError(
                f"head {record.name}: {num_shapes} shapes want {num_shapes} or {num_shapes + 3} features, "
                f"found {len(record.features)}"
            )
        self.rotates = len(record.features) == num_shapes + 3
        self.register_buffer("template", torch.from_numpy(record.template), persistent=False)
        self.register_buffer("basis", _array(record, "basis"), persistent=False)
        if self.rotates:
            self.register_buffer("pivot", _array(record, "pivot"), persistent=False)
            self.register_buffer("rotation_weights", _array(record, "rotation_weights"), persistent=False)

    def vertices(
        self, motion: Tensor, *, template: Tensor | None = None, indices: Tensor | None = None, pose: bool = True
    ) -> Tensor:
        """See `Head.vertices`.

        Raises:
            ValueError: the motion has another number of features than the head.
        """
        if motion.shape[-1] != len(self.record.features):
            raise ValueError(f"motion wanted (..., T, {len(self.record.features)}), found {tuple(motion.shape)}")
        template = self.template if template is None else template
        basis = self.basis  # (K, V, 3)
        if indices is not None:
            template, basis = template[..., indices, :], basis[:, indices]
        num_shapes = len(basis)
        shapes = motion[..., :num_shapes] @ basis.flatten(1)  # (..., T, V*3)
        vertices = template + shapes.unflatten(-1, (-1, 3))  # (..., T, V, 3)
        if not (self.rotates and pose):
            return vertices
        weights = self.rotation_weights if indices is None else self.rotation_weights[indices]
        rotation = rotation_from_yaw_pitch_roll(motion[..., num_shapes:])  # (..., T, 3, 3)
        arms = vertices - self.pivot
        # Three products of whole columns: many times faster than a matrix product of (V, 3) by (3, 3) a frame.
        columns = rotation.unsqueeze(-3).unbind(-1)  # 3 of (..., T, 1, 3)
        rotated = sum(arms[..., j : j + 1] * column for j, column in enumerate(columns))
        # Blending positions instead of angles shrinks the neck by under 0.5 % at the angles heads turn; the skull,
        # with weight 1, is rotated exactly.
        return vertices + weights[:, None] * (rotated - arms)


def _array(record: HeadRecord, name: str) -> Tensor:
    if name not in record.arrays:
        raise ThunderError(f"head {record.name}: array {name!r} is missing; make the file that holds the head again")
    return torch.from_numpy(np.asarray(record.arrays[name], "f4"))


def rotation_features(record: HeadRecord) -> tuple[str, ...]:
    """The features that turn the head as a whole, which `vertices(..., pose=False)` leaves out; the last of all features."""
    names = FLAME_ROTATION if record.kind == "flame" else HEAD_ROTATION
    return tuple(name for name in record.features if name in names)


def build_head(record: HeadRecord) -> LinearHead | FlameHead:
    """The head of a record.

    Raises:
        ThunderError: a kind that this toolkit does not know.
    """
    if record.kind in ("blendshape", "displacement"):
        return LinearHead(record)
    if record.kind == "flame":
        return FlameHead(record)
    raise ThunderError(f"head {record.name}: wanted kind blendshape, displacement or flame, found {record.kind!r}")


def read_head_file(path: Path) -> HeadRecord:
    """Reads a `thunder.head` file.

    Raises:
        ThunderError: not such a file, or one that is incomplete or damaged.
    """
    with read_artifact(path, "thunder.head") as file:
        return read_head(file)


def embedded_head() -> HeadRecord:
    """The mannequin that the toolkit ships."""
    return read_head_file(asset_path("head.h5"))


def lip_midpoints(record: HeadRecord) -> Tensor:
    """Vertex indices (2,) of the inner lips' mid-points, the upper first."""
    return torch.tensor([record.landmarks[name] for name in ("lip_top", "lip_bottom")])


def region_indices(record: HeadRecord, name: str) -> Tensor:
    """Vertex indices (M,) int64 of a region.

    Raises:
        ThunderError: the head has no such region, or an empty one.
    """
    if name not in record.regions or len(record.regions[name]) == 0:
        found = ", ".join(region for region, indices in record.regions.items() if len(indices)) or "none"
        raise ThunderError(
            f"head {record.name}: wanted a region {name!r}, found {found}; preprocess the corpus again, which marks it"
        )
    return torch.from_numpy(record.regions[name]).long()
