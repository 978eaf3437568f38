"""glTF 2.0 in one binary file (.glb): a face, its shapes as morph targets by name, its joints as a skin, one animation a take.

Morph targets that move a part of the face alone are sparse accessors. Every keyframe carries every weight, as the format
demands and engines need: a curve that is left out would ease to zero. A .glb holds no sound; the animations say in `extras`
which file beside it is theirs.

Source: Khronos Group, "glTF 2.0 Specification", 2021, sections 3.6 to 3.11.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from numpy.typing import NDArray

from stages.heads.rig import Rig, RigMotion, quaternions
from stages.runtime.atomic_file import whole_or_none

# Influences of joints that one attribute of a vertex holds.
_GROUP = 4
_ROUGHNESS = 0.6


@dataclass(frozen=True)
class Take:
    """One animation: its name, and its motion, frame t of which stands at t / fps seconds."""

    name: str
    motion: RigMotion
    fps: float


def write_glb(
    path: Path,
    rig: Rig,
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
    takes: Sequence[Take],
    *,
    colours: NDArray[np.float32] | None = None,
    sound: str = "",
) -> None:
    """Writes a face and its takes.

    Args:
        path: file to write; an existing one is replaced when the new one is whole.
        rig: metres, +Y up, +Z out of the face: glTF's own frame.
        faces: (F, 3), counter-clockwise seen from outside.
        normals: (V, 3), unit length, at rest; zero where a vertex has no face.
        takes: animations, in order.
        colours: (V, 3), linear RGB, 0..1.
        sound: name of the file with the speech.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    file = _Builder()
    normals = np.where(normals.any(axis=1, keepdims=True), normals, np.array([0.0, 0.0, 1.0], "f4"))
    attributes = gltf.Attributes(
        POSITION=file.vertices(rig.template), NORMAL=file.accessor(normals, gltf.VEC3, target=gltf.ARRAY_BUFFER)
    )
    if colours is not None:
        attributes.COLOR_0 = file.accessor(colours.astype("<f4"), gltf.VEC3, target=gltf.ARRAY_BUFFER)
    if rig.joint_names:
        for k, (joints, weights) in enumerate(_influences(rig.joint_weights)):
            setattr(attributes, f"JOINTS_{k}", file.accessor(joints, gltf.VEC4, target=gltf.ARRAY_BUFFER))
            setattr(attributes, f"WEIGHTS_{k}", file.accessor(weights, gltf.VEC4, target=gltf.ARRAY_BUFFER))
    corners = faces.astype("<u2" if len(rig.template) < 1 << 16 else "<u4").reshape(-1)
    surface = gltf.Primitive(
        attributes=attributes,
        indices=file.accessor(corners, gltf.SCALAR, target=gltf.ELEMENT_ARRAY_BUFFER),
        material=0,
        targets=[{"POSITION": file.displacements(shape)} for shape in rig.shapes],
    )
    names = list(rig.shape_names)
    mesh = gltf.Mesh(name="head", primitives=[surface], weights=[0.0] * len(names), extras={"targetNames": names})
    nodes, skins = _nodes(file, rig)
    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="thunder"),
        scene=0,
        scenes=[gltf.Scene(nodes=[0, 1] if skins else [0])],
        nodes=nodes,
        skins=skins,
        meshes=[mesh],
        materials=[
            gltf.Material(
                name="skin",
                doubleSided=True,
                pbrMetallicRoughness=gltf.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=_ROUGHNESS),
            )
        ],
        animations=[_animation(file, rig, take, sound) for take in takes],
        accessors=file.accessors,
        bufferViews=file.views,
        buffers=[gltf.Buffer(byteLength=len(file.data))],
    )
    document.set_binary_blob(bytes(file.data))
    parts = document.save_to_bytes()
    with whole_or_none(path) as partial, partial.open("wb") as out:
        for part in parts:
            out.write(part)


# Nodes: 0 the mesh, 1 what the joints hang on, then the joints. All joints are given in space, so they are siblings.
_FIRST_JOINT = 2


def _nodes(file: "_Builder", rig: Rig) -> tuple[list[gltf.Node], list[gltf.Skin]]:
    if not rig.joint_names:
        return [gltf.Node(name="face", mesh=0)], []
    joint_nodes = list(range(_FIRST_JOINT, _FIRST_JOINT + len(rig.joint_names)))
    nodes = [gltf.Node(name="face", mesh=0, skin=0), gltf.Node(name="joints", children=joint_nodes)]
    nodes += [
        gltf.Node(name=name, translation=[float(x) for x in place])
        for name, place in zip(rig.joint_names, rig.joints, strict=True)
    ]
    undone = np.tile(np.eye(4, dtype="<f4"), (len(rig.joints), 1, 1))
    undone[:, 3, :3] = -rig.joints  # columns one after the other
    matrices = file.accessor(undone.reshape(-1, 16), gltf.MAT4)
    return nodes, [gltf.Skin(joints=joint_nodes, skeleton=1, inverseBindMatrices=matrices)]


def _animation(file: "_Builder", rig: Rig, take: Take, sound: str) -> gltf.Animation:
    motion = take.motion
    times = (np.arange(len(motion.weights)) / take.fps).astype("<f4")
    clock = file.accessor(times, gltf.SCALAR, bounds=True)
    outputs = [(0, "weights", file.accessor(motion.weights.reshape(-1), gltf.SCALAR))]
    for j, rest in enumerate(rig.joints):
        if np.any(motion.rotations[:, j] != np.eye(3, dtype="f4")):
            turns = file.accessor(quaternions(motion.rotations[:, j]), gltf.VEC4)
            outputs.append((_FIRST_JOINT + j, "rotation", turns))
        if np.any(motion.places[:, j] != rest):
            outputs.append((_FIRST_JOINT + j, "translation", file.accessor(motion.places[:, j], gltf.VEC3)))
    return gltf.Animation(
        name=take.name,
        samplers=[gltf.AnimationSampler(input=clock, output=output) for _, _, output in outputs],
        channels=[
            gltf.AnimationChannel(sampler=k, target=gltf.AnimationChannelTarget(node=node, path=path))
            for k, (node, path, _) in enumerate(outputs)
        ],
        extras={"fps": take.fps} | ({"sound": sound} if sound else {}),
    )


class _Builder:
    """The one buffer of a file, and the tables that say what lies where in it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[gltf.BufferView] = []
        self.accessors: list[gltf.Accessor] = []

    def view(self, values: NDArray[Any], target: int | None = None) -> int:
        """Puts numbers into the buffer, where its alignment allows."""
        self.data.extend(bytes(-len(self.data) % 4))
        raw = np.ascontiguousarray(values).tobytes()
        self.views.append(gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(raw), target=target))
        self.data.extend(raw)
        return len(self.views) - 1

    def accessor(self, values: NDArray[Any], kind: str, *, target: int | None = None, bounds: bool = False) -> int:
        """A table of (rows,) or (rows, columns); returns its number."""
        if values.dtype.kind == "f":
            values = values.astype("<f4")
        table = gltf.Accessor(
            bufferView=self.view(values, target),
            componentType=_COMPONENTS[values.dtype.str[1:]],
            count=len(values),
            type=kind,
        )
        if bounds:
            _bound(table, values)
        self.accessors.append(table)
        return len(self.accessors) - 1

    def vertices(self, values: NDArray[Any]) -> int:
        """Positions (V, 3)."""
        return self.accessor(values, gltf.VEC3, target=gltf.ARRAY_BUFFER, bounds=True)

    def displacements(self, shape: NDArray[Any]) -> int:
        """A morph target (V, 3), sparse where that is smaller."""
        moved = np.flatnonzero(shape.any(axis=1))
        index_type = "<u2" if len(shape) < 1 << 16 else "<u4"
        if not 0 < len(moved) * (12 + int(index_type[-1])) < 12 * len(shape):
            return self.vertices(shape)
        table = gltf.Accessor(byteOffset=None, componentType=gltf.FLOAT, count=len(shape), type=gltf.VEC3)
        table.sparse = gltf.Sparse(
            count=len(moved),
            indices=gltf.AccessorSparseIndices(
                bufferView=self.view(moved.astype(index_type)), componentType=_COMPONENTS[index_type[1:]]
            ),
            values=gltf.AccessorSparseValues(bufferView=self.view(shape[moved].astype("<f4"))),
        )
        _bound(table, shape)
        self.accessors.append(table)
        return len(self.accessors) - 1


_COMPONENTS = {"u1": gltf.UNSIGNED_BYTE, "u2": gltf.UNSIGNED_SHORT, "u4": gltf.UNSIGNED_INT, "f4": gltf.FLOAT}


def _bound(table: gltf.Accessor, values: NDArray[Any]) -> None:
    columns = np.asarray(values, "f4").reshape(len(values), -1)
    table.min, table.max = columns.min(axis=0).tolist(), columns.max(axis=0).tolist()


def _influences(weights: NDArray[np.float32]) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """The joints (V, 4) that each vertex follows and how far (V, 4), strongest first; twice where a vertex follows more."""
    num_groups = -(-int((weights > 0).sum(axis=1).max()) // _GROUP)
    order = np.argsort(-weights, axis=1, kind="stable")[:, : num_groups * _GROUP]
    strong = np.take_along_axis(weights, order, axis=1).astype(np.float64)
    missing = [(0, 0), (0, num_groups * _GROUP - order.shape[1])]
    # What is not followed is joint 0, says the specification.
    joints = np.pad(np.where(strong > 0, order, 0), missing).astype(np.uint8)
    far = np.pad(strong / strong.sum(axis=1, keepdims=True), missing).astype(np.float32)
    groups = [slice(k * _GROUP, (k + 1) * _GROUP) for k in range(num_groups)]
    return [(joints[:, group], far[:, group]) for group in groups]
