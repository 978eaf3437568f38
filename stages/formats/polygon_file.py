"""PLY, Stanford's polygon format, as far as meshes of a corpus and of takes need it: every vertex in the order of the file, and
triangles.

Text or binary, of either byte order. Colours, normals, texture coordinates and elements other than vertices and faces are
passed over when reading. What is written is binary, little-endian, with colours where there are some.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError

_TYPES = {
    **{
        "char": "i1",
        "uchar": "u1",
        "short": "i2",
        "ushort": "u2",
        "int": "i4",
        "uint": "u4",
        "float": "f4",
        "double": "f8",
    },
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float32": "f4", "float64": "f8"},
}
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class _Property:
    """A number of each row of an element, or, where `count` is not None, as many numbers as that one says."""

    name: str
    type: np.dtype[Any]
    count: np.dtype[Any] | None = None


@dataclass(frozen=True)
class _Element:
    name: str
    num_rows: int
    properties: list[_Property] = field(default_factory=list)


def read_ply(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (V, 3) and triangles (F, 3); a face of more corners becomes a fan of triangles.

    Raises:
        ThunderError: no PLY file, cut short, or without vertices or corners of faces.
    """
    head, _, rest = path.read_bytes().partition(b"end_header")
    body = rest.partition(b"\n")[2]
    vertices, triangles = np.empty((0, 3)), np.empty((0, 3), np.int64)
    try:
        elements, is_text = _header(head.decode("utf-8", "replace").splitlines())
        if is_text:  # The same rows, of float64: no index of a mesh is too large for it.
            body = np.array(list(map(float, body.split())), "<f8").tobytes()
        begin = 0
        for element in elements:
            columns, begin = _columns(body, begin, element)
            if element.name == "vertex":
                vertices = (
                    np.stack([_named(columns, axis) for axis in "xyz"], axis=-1).reshape(-1, 3).astype(np.float64)
                )
            elif element.name == "face":
                triangles = _fans(_named(columns, *_CORNERS))
    except (ValueError, OverflowError) as error:
        raise ThunderError(f"{path}: not a mesh that can be read ({error}); export the mesh again") from error
    return vertices, triangles


def _header(lines: list[str]) -> tuple[list[_Element], bool]:
    """The elements in their order, and whether they follow as text."""
    order, is_text = "<", False
    elements: list[_Element] = []
    if not lines or lines[0].strip() != "ply":
        raise ValueError("its first line is not ply")
    for line in lines[1:]:
        match line.split():
            case ["format", name, *_] if name in _ORDERS:
                order, is_text = _ORDERS[name], name == "ascii"
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count)))
            case ["property", "list", count, kind, name] if elements and {count, kind} <= _TYPES.keys():
                types = ("<f8", "<f8") if is_text else (order + _TYPES[kind], order + _TYPES[count])
                elements[-1].properties.append(_Property(name, np.dtype(types[0]), np.dtype(types[1])))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(_Property(name, np.dtype("<f8" if is_text else order + _TYPES[kind])))
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise ValueError(f"header line {line!r}")
    return elements, is_text


def _columns(body: bytes, begin: int, element: _Element) -> tuple[dict[str, Any], int]:
    """Property -> its values (rows,), or (rows, n) or a list of arrays where it is a list; and where the element ends."""
    if not element.num_rows or not element.properties:
        return {p.name: np.empty((0, 3)) for p in element.properties}, begin
    # Most meshes are all triangles, or all quads: every row is as long as the first, and all are read at once.
    _, lengths, _ = _row(body, begin, element)
    fields: list[tuple[str, Any]] = []
    for k, p in enumerate(element.properties):
        fields += [(f"{k}", p.type)] if p.count is None else [(f"n{k}", p.count), (f"{k}", (p.type, (lengths[k],)))]
    row = np.dtype(fields)
    if begin + element.num_rows * row.itemsize <= len(body):
        rows = np.frombuffer(body, row, element.num_rows, begin)
        if all((rows[f"n{k}"] == lengths[k]).all() for k, p in enumerate(element.properties) if p.count is not None):
            return {p.name: rows[f"{k}"] for k, p in enumerate(element.properties)}, begin + rows.nbytes
    columns: dict[str, Any] = {p.name: [] for p in element.properties}
    for _ in range(element.num_rows):
        values, _, begin = _row(body, begin, element)
        for p, value in zip(element.properties, values, strict=True):
            columns[p.name].append(value)
    return columns, begin


def _row(body: bytes, begin: int, element: _Element) -> tuple[list[NDArray[Any]], list[int], int]:
    """The values of one row's properties, how many each has, and where the row ends."""
    values, lengths = [], []
    for p in element.properties:
        length = 1
        if p.count is not None:
            length = int(_numbers(body, p.count, 1, begin)[0])
            begin += p.count.itemsize
        values.append(_numbers(body, p.type, length, begin))
        lengths.append(length)
        begin += length * p.type.itemsize
    return values, lengths, begin


def _numbers(body: bytes, kind: np.dtype[Any], count: int, begin: int) -> NDArray[Any]:
    if count < 0 or begin + count * kind.itemsize > len(body):
        raise ValueError("cut short")
    return np.frombuffer(body, kind, count, begin)


def _named(columns: dict[str, Any], *names: str) -> Any:
    found = next((columns[name] for name in names if name in columns), None)
    if found is None:
        raise ValueError(f"no property {' or '.join(names)} among {', '.join(columns) or 'none'}")
    return found


def _fans(corners: NDArray[Any] | list[NDArray[Any]]) -> NDArray[np.int64]:
    """Triangles (F, 3) of polygons: the first corner with each two that follow one another."""
    # Polygons of unequal length go one by one, so that triangles stay in the order of the file.
    groups = [corners] if isinstance(corners, np.ndarray) else [polygon[None] for polygon in corners]
    for polygons in groups:
        if polygons.shape[1] < 3:
            raise ValueError(f"a face of {polygons.shape[1]} corners")
    fans = [
        np.stack([np.broadcast_to(p[:, :1], p[:, 2:].shape), p[:, 1:-1], p[:, 2:]], axis=-1).reshape(-1, 3)
        for p in groups
    ]
    return np.concatenate(fans).astype(np.int64) if fans else np.empty((0, 3), np.int64)


def write_ply(
    path: Path, vertices: NDArray[np.float32], faces: NDArray[np.int32], colours: NDArray[np.float32] | None = None
) -> None:
    """Writes a mesh.

    Args:
        path: file to write.
        vertices: (V, 3).
        faces: (F, 3).
        colours: (V, 3), linear RGB, 0..1; written as sRGB, which is what readers of PLY take them for.
    """
    columns: list[tuple[str, str]] = [(axis, "<f4") for axis in "xyz"]
    if colours is not None:
        columns += [(name, "u1") for name in ("red", "green", "blue")]
    table = np.empty(len(vertices), columns)
    for k, axis in enumerate("xyz"):
        table[axis] = vertices[:, k]
    if colours is not None:
        curve = np.where(colours <= 0.0031308, 12.92 * colours, 1.055 * np.maximum(colours, 0) ** (1 / 2.4) - 0.055)
        for k, name in enumerate(("red", "green", "blue")):
            table[name] = np.round(255 * np.clip(curve[:, k], 0, 1))
    corners = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", (3,))])
    corners["count"], corners["corners"] = 3, faces
    names = "".join(f"property {'float' if kind == '<f4' else 'uchar'} {name}\n" for name, kind in columns)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n{names}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path.write_bytes(header.encode("ascii") + table.tobytes() + corners.tobytes())
