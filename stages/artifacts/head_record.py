"""A head as plain arrays: what `/head` of an artifact holds, before `stages.heads` makes it move."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import h5py
import numpy as np

from stages.artifacts.files import explained_damage, read_array, read_names, write_array, write_names
from stages.runtime.errors import ThunderError

LANDMARKS = ("lip_top", "lip_bottom", "mouth_left", "mouth_right", "chin", "nose_tip")

# Axes and units of the arrays that a kind of head may need beyond the common ones. K counts linear shapes, J joints, P the
# nine numbers of each joint's rotation but the root's.
_ARRAY_AXES = {
    "basis": ("K,V,3", "head units"),
    "mean": ("V,3", "head units"),
    "rotation_weights": ("V", None),
    "pivot": ("3", "head units"),
    "colours": ("V,3", "linear RGB"),
    "pose_basis": ("P,V,3", "head units"),
    "joint_regressor": ("J,V", None),
    "skinning_weights": ("V,J", None),
    "parents": ("J", None),
}


@dataclass(frozen=True)
class HeadRecord:
    """The plain data of one head.

    Attributes:
        kind: `blendshape`, `flame` or `displacement`.
        name: what people call it.
        units: `m`, or `unitless` for BIWI.
        template: (V, 3) f32, the face at rest.
        faces: (F, 3) i32, counter-clockwise seen from outside.
        features: names of the D motion features, in order.
        regions: name -> sorted i32 vertex indices; at least `lips`, `mouth` and `upper_face`.
        landmarks: name -> vertex index, the six of `LANDMARKS`.
        arrays: what the kind needs, e.g. `basis` (K, V, 3).
    """

    kind: str
    name: str
    units: str
    template: np.ndarray
    faces: np.ndarray
    features: tuple[str, ...]
    regions: dict[str, np.ndarray]
    landmarks: dict[str, int]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies topology and vertex order: equal where vertices of two heads correspond one to one."""
        faces = np.ascontiguousarray(self.faces, dtype="<i4")
        return hashlib.sha256(f"{len(self.template)} ".encode() + faces.tobytes()).hexdigest()[:16]

    @cached_property
    def motion_fingerprint(self) -> str:
        """Identifies the motion space: equal where motion features of two heads mean the same."""
        digest = hashlib.sha256(f"{self.kind} {self.fingerprint} {' '.join(self.features)}".encode())
        if self.kind in ("displacement", "flame"):
            # Components of a PCA have no names that say what they are; the basis itself does. So does that of a FLAME edition.
            digest.update(np.ascontiguousarray(self.arrays["basis"], dtype="<f4").tobytes())
        return digest.hexdigest()[:16]

    def without(self, *arrays: str) -> "HeadRecord":
        """The same head with some of its arrays left out."""
        return replace(self, arrays={k: v for k, v in self.arrays.items() if k not in arrays})


def write_head(parent: h5py.Group, head: HeadRecord) -> None:
    """Writes `/head`."""
    group = parent.create_group("head")
    group.attrs["kind"] = head.kind
    group.attrs["name"] = head.name
    group.attrs["units"] = head.units
    group.attrs["fingerprint"] = head.fingerprint
    group.attrs["motion_fingerprint"] = head.motion_fingerprint
    write_array(group, "template", head.template.astype("f4"), "V,3", head.units)
    write_array(group, "faces", head.faces.astype("i4"), "F,3")
    write_names(group, "features", head.features, "D")
    regions = group.create_group("regions")
    for name, indices in head.regions.items():
        write_array(regions, name, indices.astype("i4"), "index")
    landmarks = group.create_group("landmarks")
    for name, vertex in head.landmarks.items():
        landmarks.attrs[name] = int(vertex)
    for name, values in head.arrays.items():
        axes, units = _ARRAY_AXES.get(name, (",".join(map(str, values.shape)), None))
        write_array(group, name, values, axes, head.units if units == "head units" else units)


def read_head(parent: h5py.Group) -> HeadRecord:
    """Reads and checks `/head`.

    Raises:
        ThunderError: a part is missing, indices point outside the mesh, or the stored fingerprint disagrees.
    """
    path = parent.file.filename
    with explained_damage(f"{path}: /head"):
        group = parent.get("head")
        if not isinstance(group, h5py.Group):
            raise ThunderError(f"{path}: /head is missing; the file is incomplete, make it again")
        known = ("template", "faces", "features")
        regions = group.get("regions", {})
        head = HeadRecord(
            kind=str(group.attrs["kind"]),
            name=str(group.attrs["name"]),
            units=str(group.attrs["units"]),
            template=read_array(group, "template", ndim=2).astype("f4"),
            faces=_read_indices(group, "faces", ndim=2),
            features=read_names(group, "features"),
            regions={name: _read_indices(regions, name, ndim=1) for name in regions},
            landmarks={name: int(v) for name, v in group["landmarks"].attrs.items()} if "landmarks" in group else {},
            arrays={n: read_array(group, n) for n in group if n not in known and isinstance(group[n], h5py.Dataset)},
        )
        stored = group.attrs.get("fingerprint")
    _check_head(head, path)
    if stored != head.fingerprint:
        raise ThunderError(
            f"{path}: /head fingerprint {stored} does not match its faces ({head.fingerprint}): damaged, make it again"
        )
    return head


def _read_indices(group: h5py.Group, name: str, *, ndim: int) -> np.ndarray:
    values = read_array(group, name, ndim=ndim)
    if not np.issubdtype(values.dtype, np.integer):
        raise ThunderError(f"{group.file.filename}: {group.name}/{name}: wanted vertex indices, found {values.dtype}")
    return values.astype("i4")


def _check_head(head: HeadRecord, path: str) -> None:
    num_vertices = len(head.template)
    if head.template.shape[1:] != (3,) or head.faces.shape[1:] != (3,):
        raise ThunderError(
            f"{path}: /head wanted template (V, 3) and faces (F, 3), found {head.template.shape} and {head.faces.shape}"
        )
    landmarks = np.array(list(head.landmarks.values()), int)
    for name, indices in {"faces": head.faces, **head.regions, "landmarks": landmarks}.items():
        outside = indices[(indices < 0) | (indices >= num_vertices)]
        if outside.size:
            raise ThunderError(
                f"{path}: /head {name} points at vertex {outside.flat[0]}, but the template has {num_vertices} vertices; "
                f"make the file again"
            )
    missing = [m for m in LANDMARKS if m not in head.landmarks]
    if missing:
        raise ThunderError(f"{path}: /head has no landmark {', '.join(missing)}; make the file again")
    sizes = {"V": num_vertices, "3": 3}
    if "parents" in head.arrays:
        sizes |= {"J": head.arrays["parents"].size, "P": 9 * (head.arrays["parents"].size - 1)}
    for name, values in head.arrays.items():
        axes = _ARRAY_AXES[name][0].split(",") if name in _ARRAY_AXES else []
        if axes and (
            values.ndim != len(axes) or any(sizes.get(a, n) != n for a, n in zip(axes, values.shape, strict=True))
        ):
            wanted = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
            raise ThunderError(
                f"{path}: /head/{name} wanted shape ({wanted}), found {values.shape}; make the file again"
            )
