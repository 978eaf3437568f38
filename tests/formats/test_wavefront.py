from pathlib import Path

import numpy as np
import pytest

from stages.corpora.surface import read_mesh
from stages.runtime.errors import ThunderError

VERTICES = "v 0 0 0\nv 1 0 0\nv 2 0 0\nv 0 1 0\nv 1 1 0\nv 2 1 0\nv 9 9 9\n"
TWO_QUADS = [[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]]


@pytest.mark.parametrize(
    "text",
    [
        VERTICES + "f 1 2 5 4\nf 2 3 6 5\n",
        # two materials that share vertices, as heads with lips of their own have
        VERTICES + "usemtl skin\nf 1 2 5 4\nusemtl lips\nf 2 3 6 5\n",
        "mtllib none.mtl\no head\n" + VERTICES + "g left\nf 1 2 5 4\ng right\nf 2 3 6 5\n",
        # a seam: one vertex, two texture coordinates
        VERTICES + "vt 0 0\nvt 1 0\nvn 0 0 1\nf 1/1/1 2/2/1 5/1/1 4/2/1\nf 2/1/1 3/1/1 6/2/1 5/2/1\n",
        VERTICES + "f -7//1 -6//1 -3//1 -4//1 # from the end\nf -6 -5 -2 -3\n",
        VERTICES.replace("\n", " 0.5 0.5 0.5\n").replace(" ", "  ") + "s off\nf 1 2 5 4\nf 2 3 6 5\n",
    ],
)
def test_vertices_stay_in_the_order_of_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.obj").write_text(text)
    vertices, faces = read_mesh(tmp_path / "a.obj", 7)
    np.testing.assert_array_equal(vertices[[1, 5, 6]], [[1, 0, 0], [2, 1, 0], [9, 9, 9]])
    assert faces.tolist() == TWO_QUADS


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("v 1 2", "line 8 cannot be read"),
        ("v 1 2 x", "line 8 cannot be read .*could not convert"),
        ("f 1 2", "line 8 cannot be read .*a face of 2 corners"),
        ("f 0 1 2", "line 8 cannot be read .*counted from 1"),
        ("f 1 2 99", "its faces point outside its 7 vertices"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "a.obj").write_text(VERTICES + line + "\n")
    with pytest.raises(ThunderError, match=said):
        read_mesh(tmp_path / "a.obj")
