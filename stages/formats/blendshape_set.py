"""A set of blend shapes that a user brings: a folder of meshes named as ARKit's curves, with the neutral, or a head file.

A folder holds `neutral.obj` and `jawOpen.obj`, `mouthSmileLeft.obj`, ... (or .ply), each the whole face in the vertex order of
the head. Curves without a mesh stay at zero.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.head_record import HeadRecord
from stages.formats.polygon_file import read_ply
from stages.formats.wavefront import read_obj
from stages.heads.arkit import ARKIT_CURVES
from stages.heads.head import read_head_file
from stages.runtime.errors import ThunderError, did_you_mean

_READERS = {".obj": read_obj, ".ply": read_ply}
_NEUTRAL = "neutral"


@dataclass(frozen=True)
class BlendshapeSet:
    """K shapes of one face.

    Attributes:
        names: K of ARKit's curves.
        shapes: (K, V, 3) f32, displacements from the neutral face at weight 1, head units.
    """

    names: tuple[str, ...]
    shapes: NDArray[np.float32]


def read_blendshape_set(path: Path, head: HeadRecord) -> BlendshapeSet:
    """Reads a set for a head whose vertices the set's have to be, one by one.

    Raises:
        ThunderError: no set, another topology or scale than the head's, or names that ARKit does not know.
    """
    if not path.exists():
        raise ThunderError(f"{path}: no such file or folder; wanted a folder of meshes named as ARKit's curves")
    found = _from_folder(path, head) if path.is_dir() else _from_head(path, head)
    if not found.names:
        raise ThunderError(
            f"{path}: none of ARKit's curves in it; wanted meshes such as jawOpen.obj beside neutral.obj"
        )
    still = [name for name, shape in zip(found.names, found.shapes, strict=True) if not shape.any()]
    if len(still) == len(found.names):
        raise ThunderError(f"{path}: all its meshes are the neutral one; export the shapes again, each at full weight")
    moving = [k for k, name in enumerate(found.names) if name not in still]
    return BlendshapeSet(tuple(found.names[k] for k in moving), found.shapes[moving])


def _from_head(path: Path, head: HeadRecord) -> BlendshapeSet:
    brought = read_head_file(path)
    if brought.kind != "blendshape":
        raise ThunderError(f"{path}: a head of kind {brought.kind}, wanted blendshape")
    _check(path, head, brought.template, brought.faces)
    chosen = [k for k, name in enumerate(brought.features[: len(brought.arrays["basis"])]) if name in ARKIT_CURVES]
    names = tuple(brought.features[k] for k in chosen)
    return BlendshapeSet(names, np.asarray(brought.arrays["basis"], np.float32)[chosen])


def _from_folder(folder: Path, head: HeadRecord) -> BlendshapeSet:
    meshes = {mesh.stem: mesh for mesh in sorted(folder.iterdir()) if mesh.suffix.lower() in _READERS}
    neutral = next((meshes.pop(name) for name in (_NEUTRAL, _NEUTRAL.capitalize()) if name in meshes), None)
    if neutral is None:
        raise ThunderError(f"{folder}: no neutral.obj or neutral.ply; wanted the face that the shapes start from")
    curves = {name.lower(): name for name in ARKIT_CURVES}
    unknown = [name for name in meshes if name.lower() not in curves]
    if unknown:
        raise ThunderError(
            f"{meshes[unknown[0]]}: no curve of ARKit{did_you_mean(unknown[0], ARKIT_CURVES)}; rename it"
        )
    rest, _ = _mesh(neutral, head)
    shapes = [_mesh(mesh, head)[0] - rest for mesh in meshes.values()]
    names = tuple(curves[name.lower()] for name in meshes)
    return BlendshapeSet(names, np.array(shapes, np.float32).reshape(-1, *head.template.shape))


def _mesh(path: Path, head: HeadRecord) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices, faces = _READERS[path.suffix.lower()](path)
    _check(path, head, vertices, faces)
    return vertices, faces


def _check(path: Path, head: HeadRecord, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> None:
    if len(vertices) != len(head.template) or not np.array_equal(faces, head.faces):
        what = (
            f"{len(vertices)} vertices, wanted {len(head.template)}"
            if len(vertices) != len(head.template)
            else "other triangles between as many vertices"
        )
        raise ThunderError(
            f"{path}: not the topology of head {head.name}: {what}; export shapes of that head, vertex order kept"
        )
    size, wanted = (float(np.ptp(v, axis=0).max()) for v in (vertices, head.template))
    if not 0.5 < size / wanted < 2:
        raise ThunderError(
            f"{path}: {size:.3g} large where head {head.name} is {wanted:.3g}; export it in the head's unit ({head.units})"
        )
