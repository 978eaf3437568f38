"""FLAME's own file: FLAME 2016, 2019, 2020, 2023 and 2023 Open, `.pkl` or `.npz` (flame.is.tue.mpg.de).

v_template     (V, 3)       the mean face, metres
f              (F, 3)       triangles
shapedirs      (V, 3, 400)  300 shapes of identity, then 100 of expression
posedirs       (V, 3, 36)   corrections for the rotations of the four joints below the root
J_regressor    (5, V)       sparse or dense
weights        (V, 5)       skinning weights
kintree_table  (2, 5)       parents; the root's is -1 in whatever type the file has
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.head_record import HeadRecord
from stages.corpora.numpy_files import read_npz
from stages.corpora.surface import surface_from_lips
from stages.corpora.unpickler import load_pickle
from stages.heads.flame import JOINTS, flame_features
from stages.runtime.errors import ThunderError

WHERE_FLAME_COMES_FROM = (
    "FLAME is free for research after registration (flame.is.tue.mpg.de, Downloads): "
    "give --flame FILE, e.g. generic_model.pkl or flame2023.pkl"
)
_NUM_IDENTITIES = 300
_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
_POSE_NUMBERS = 9 * (len(JOINTS) - 1)


@dataclass(frozen=True)
class FlameModel:
    """The content of a FLAME file.

    Attributes:
        template: (V, 3) f32, metres.
        faces: (F, 3) i32.
        identities: (300, V, 3) f32.
        expressions: (K, V, 3) f32, up to 100.
        pose_basis: (36, V, 3) f32.
        joint_regressor: (5, V) f32.
        skinning_weights: (V, 5) f32.
        parents: (5,) i32, the root's -1.
    """

    path: Path
    template: NDArray[np.float32]
    faces: NDArray[np.int32]
    identities: NDArray[np.float32]
    expressions: NDArray[np.float32]
    pose_basis: NDArray[np.float32]
    joint_regressor: NDArray[np.float32]
    skinning_weights: NDArray[np.float32]
    parents: NDArray[np.int32]

    def face_of(self, shape: NDArray[np.float32]) -> NDArray[np.float32]:
        """The face at rest (V, 3) of shape coefficients (S,), S up to 300."""
        return self.template + np.tensordot(shape.astype(np.float32), self.identities[: len(shape)], axes=1)

    def head(self, lips: NDArray[np.int32], num_expressions: int, joints: tuple[str, ...]) -> HeadRecord:
        """The head that is moved by the first expressions and by some joints; regions and landmarks from the lips.

        Raises:
            ThunderError: these vertices cannot be the lips of this mesh.
        """
        surface = surface_from_lips(f"FLAME ({self.path.stem})", "m", self.template, self.faces, lips)
        arrays = {
            "basis": self.expressions[:num_expressions],
            "pose_basis": self.pose_basis,
            "joint_regressor": self.joint_regressor,
            "skinning_weights": self.skinning_weights,
            "parents": self.parents,
        }
        return replace(surface, kind="flame", features=flame_features(num_expressions, joints), arrays=arrays)


def read_flame_model(path: Path) -> FlameModel:
    """Reads a FLAME file; neither scipy nor chumpy is needed, and nothing in the file is run.

    Raises:
        ThunderError: missing, damaged, or not a FLAME file.
    """
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted FLAME's file; {WHERE_FLAME_COMES_FROM}")
    if not path.exists():
        raise ThunderError(f"{path}: no such file, wanted FLAME's; {WHERE_FLAME_COMES_FROM}")
    content = read_npz(path) if path.suffix.lower() in (".npz", ".npy") else load_pickle(path)
    missing = [key for key in _KEYS if key not in content] if isinstance(content, dict) else list(_KEYS)
    if missing:
        raise ThunderError(f"{path}: not a FLAME file, {', '.join(missing)} missing; {WHERE_FLAME_COMES_FROM}")
    numbers = {key: _numbers(path, key, content[key]) for key in _KEYS}
    num_vertices, num_joints = len(np.atleast_1d(numbers["v_template"])), len(JOINTS)
    wanted = {
        "v_template": (num_vertices, 3),
        "f": (None, 3),
        "shapedirs": (num_vertices, 3, None),
        "posedirs": (num_vertices, 3, _POSE_NUMBERS),
        "J_regressor": (num_joints, num_vertices),
        "weights": (num_vertices, num_joints),
        "kintree_table": (2, num_joints),
    }
    for key, shape in wanted.items():
        found = numbers[key].shape
        if len(found) != len(shape) or any(w not in (None, n) for w, n in zip(shape, found, strict=True)):
            named = ", ".join("any" if n is None else str(n) for n in shape)
            raise ThunderError(f"{path}: {key} wanted ({named}), found {found}; FLAME has {num_joints} joints")
    if numbers["shapedirs"].shape[2] <= _NUM_IDENTITIES:
        raise ThunderError(
            f"{path}: {numbers['shapedirs'].shape[2]} shapes, wanted {_NUM_IDENTITIES} of identity and then expressions; "
            f"use the full model"
        )
    _check_meaning(path, numbers)
    parents = np.array([-1, *numbers["kintree_table"][0, 1:].astype(np.int64)], np.int32)
    shapes = np.ascontiguousarray(np.moveaxis(numbers["shapedirs"], 2, 0), np.float32)  # (400, V, 3)
    return FlameModel(
        path=path,
        template=numbers["v_template"].astype(np.float32),
        faces=numbers["f"].astype(np.int32),
        identities=shapes[:_NUM_IDENTITIES],
        expressions=shapes[_NUM_IDENTITIES:],
        pose_basis=np.ascontiguousarray(np.moveaxis(numbers["posedirs"], 2, 0), np.float32),
        joint_regressor=numbers["J_regressor"].astype(np.float32),
        skinning_weights=numbers["weights"].astype(np.float32),
        parents=parents,
    )


def _numbers(path: Path, key: str, value: Any) -> NDArray[Any]:
    values = np.asarray(value)
    if values.dtype.kind not in "iuf":
        raise ThunderError(f"{path}: {key} wanted numbers, found {values.dtype}")
    if not np.isfinite(values).all():
        raise ThunderError(f"{path}: NaN or infinity in {key}; download the file again")
    return values


def _check_meaning(path: Path, numbers: dict[str, NDArray[Any]]) -> None:
    """Checks what shapes of arrays do not show."""
    num_vertices, faces = len(numbers["v_template"]), numbers["f"]
    if faces.min(initial=0) < 0 or faces.max(initial=0) >= num_vertices or not len(faces):
        raise ThunderError(
            f"{path}: f wanted triangles of {num_vertices} vertices, found {faces.min()} to {faces.max()}"
        )
    for key in ("J_regressor", "weights"):
        sums = numbers[key].sum(axis=1)
        if np.abs(sums - 1).max() > 1e-2:
            raise ThunderError(
                f"{path}: rows of {key} wanted to add up to 1, found {sums.min():.3g} to {sums.max():.3g}"
            )
    parents = numbers["kintree_table"][0, 1:].astype(np.int64)
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents, 1)):
        raise ThunderError(f"{path}: kintree_table wanted parents before children, found {parents.tolist()}")
    height = float(np.ptp(numbers["v_template"][:, 1]))
    if not 0.1 < height < 1.0:
        raise ThunderError(
            f"{path}: a head {height:.3g} m high, wanted about 0.3; use the file in metres as downloaded"
        )
