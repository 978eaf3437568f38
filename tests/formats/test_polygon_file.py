import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh

from stages.corpora.surface import read_mesh
from stages.formats.polygon_file import read_ply
from stages.runtime.errors import ThunderError

POINTS = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0], [9, 9, 9]]
HEADER = """ply
format {form} 1.0
comment written by hand
element vertex 7
property float x
property double y
property uchar red
property float z
element face {faces}
property list uchar {index} vertex_index
property short flags
element edge 1
property int vertex1
property int vertex2
end_header
"""


def written(form: str, polygons: list[list[int]], index: str = "int") -> bytes:
    """POINTS and polygons with a colour between the coordinates, flags after the corners, and an edge after the faces."""
    header = HEADER.format(form=form, faces=len(polygons), index=index).encode()
    if form == "ascii":
        rows = [f"{x} {y} 255 {z}" for x, y, z in POINTS]
        rows += [f"{len(p)} {' '.join(map(str, p))} -3" for p in polygons]
        return header + "\n".join([*rows, "0 1", ""]).encode()
    order, kind = "<" if form == "binary_little_endian" else ">", {"int": "i", "uint": "I", "ushort": "H"}[index]
    body = b"".join(struct.pack(f"{order}fdBf", x, y, 255, z) for x, y, z in POINTS)
    body += b"".join(struct.pack(f"{order}B{len(p)}{kind}h", len(p), *p, -3) for p in polygons)
    return header + body + struct.pack(f"{order}ii", 0, 1)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize(
    ("polygons", "triangles"),
    [
        ([[0, 1, 3], [1, 4, 3]], [[0, 1, 3], [1, 4, 3]]),
        ([[0, 1, 4, 3], [1, 2, 5, 4]], [[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]]),
        ([[0, 1, 4, 3], [1, 2, 4], [2, 5, 4]], [[0, 1, 4], [0, 4, 3], [1, 2, 4], [2, 5, 4]]),
    ],
)
@pytest.mark.parametrize("index", ["int", "uint", "ushort"])
def test_vertices_and_triangles_stay_in_the_order_of_the_file(
    tmp_path: Path, form: str, polygons: list[list[int]], triangles: list[list[int]], index: str
) -> None:
    (tmp_path / "a.ply").write_bytes(written(form, polygons, index))
    vertices, faces = read_ply(tmp_path / "a.ply")
    assert vertices.tolist() == POINTS
    assert faces.tolist() == triangles


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_what_another_program_writes_is_read_as_it_was_given(tmp_path: Path, encoding: str) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    mesh.export(tmp_path / "sphere.ply", encoding=encoding, vertex_normal=True)
    vertices, faces = read_ply(tmp_path / "sphere.ply")
    np.testing.assert_allclose(vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(faces, mesh.faces)


def test_carriage_returns_in_the_header(tmp_path: Path) -> None:
    head, _, body = written("binary_little_endian", [[0, 1, 3]]).partition(b"end_header\n")
    (tmp_path / "a.ply").write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + body)
    assert read_ply(tmp_path / "a.ply")[0].tolist() == POINTS


GOOD = written("binary_little_endian", [[0, 1, 3], [1, 4, 3]])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "its first line is not ply"),
        (b"\x89PNG\r\n", "its first line is not ply"),
        (GOOD[:-30], "cut short"),
        (GOOD.replace(b"element face 2", b"element face 999999999999"), "cut short"),
        (GOOD.replace(b"element vertex 7", b"element vertex -7"), "header line 'element vertex -7'"),
        (GOOD.replace(b"property float x", b"property float u"), "no property x among u, y, red, z"),
        (GOOD.replace(b"vertex_index\n", b"corners\n"), "no property vertex_indices or vertex_index"),
        (GOOD.replace(b"format binary_little", b"format middle"), "header line 'format middle_endian 1.0'"),
        (written("ascii", [[0, 1, 3]]).replace(b"3 0 1 3", b"inf 0 1 3"), "infinity"),
        (written("ascii", [[0, 1, 3]]).replace(b"9 9 255 9", b"9 nine 255 9"), "nine"),
        (written("ascii", [[0, 1]]), "a face of 2 corners"),
        (written("ascii", [[0, 1, 77]]), "its faces point outside its 7 vertices"),
        (written("ascii", [[0, 1, 3]]).replace(b"9 9 255 9", b"9 nan 255 9"), "some are not finite"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(ThunderError, match=said):
        read_mesh(tmp_path / "a.ply")
