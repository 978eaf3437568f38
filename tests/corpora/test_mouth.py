import numpy as np
import pytest

from stages.corpora.checks import check_axes
from stages.corpora.mouth import Mouth, find_mouth, mouth_vertices, pieces
from stages.runtime.errors import ThunderError
from tests.corpora.written import face_mesh, lower_face

# In the mesh of `face_mesh`: the ends of the slit, its middle below and above.
COLUMNS, ROW = 15, 6
RIGHT, LEFT, BELOW, ABOVE = COLUMNS * ROW + 4, COLUMNS * ROW + 10, COLUMNS * ROW + 7, 15 * 21 + 2


def face_with_curled_lips() -> tuple[np.ndarray, np.ndarray]:
    """A face whose lips go on inwards, up, down and aside, and end open; with holes for the eyes and a nostril."""
    template, faces, _ = face_mesh()
    lower = np.arange(COLUMNS * ROW + 4, COLUMNS * ROW + 11)
    loop = np.concatenate([lower, np.arange(COLUMNS * 21, COLUMNS * 21 + 5)[::-1]])
    middle = template[loop].mean(axis=0)
    for ring, stretch in enumerate((1.1, 1.5, 2.0), 1):
        inner = middle + (template[loop] - middle) * [1 + 0.02 * ring, 1.0, 1.0] + [0.0, 0.0, -0.008 * ring]
        inner[:, 1] += 0.004 * stretch * np.where(np.arange(12) < 7, -1, 1) * (np.arange(12) % 6 != 0)
        if ring == 1:
            outer = loop
        here = len(template) + np.arange(12)
        template = np.concatenate([template, inner.astype("f4")])
        faces = np.concatenate(
            [
                faces,
                np.stack([outer, np.roll(outer, -1), here], axis=-1),
                np.stack([np.roll(outer, -1), np.roll(here, -1), here], axis=-1),
            ]
        )
        outer = here
    holes = {(14, 3), (14, 4), (15, 3), (14, 9), (14, 10), (9, 6)}
    centres = template[faces].mean(axis=1)
    row = np.floor((centres[:, 1] + 0.1) / 0.01)
    column = np.floor((centres[:, 0] + 0.07) / 0.01)
    keep = [(int(r), int(c)) not in holes for r, c in zip(row, column, strict=True)]
    return template, faces[np.array(keep)].astype("i4")


def found(template: np.ndarray, faces: np.ndarray, region: np.ndarray) -> Mouth:
    return find_mouth("h", "m", template, faces, region)


def test_a_region_of_the_whole_lower_face_gives_the_same_landmarks_as_the_lips() -> None:
    template, faces, lips = face_mesh()
    for region in (lips, lower_face()):
        mouth = found(template, faces, region)
        assert (mouth.left, mouth.right, mouth.top, mouth.bottom) == (LEFT, RIGHT, ABOVE, BELOW)
    assert mouth.width == pytest.approx(0.06)
    assert np.abs(template[mouth.lips, 1] + 0.04).max() < 0.02


def test_lips_that_go_on_inwards_end_where_they_part() -> None:
    template, faces = face_with_curled_lips()
    for region in (lower_face(), face_mesh()[2]):
        mouth = found(template, faces, region)
        # Not at the open end inside, which is wider than the slit.
        assert (mouth.left, mouth.right, mouth.top, mouth.bottom) == (LEFT, RIGHT, ABOVE, BELOW)


def test_lips_with_a_closed_bag_behind_them_meet_at_the_corners_and_not_in_the_bag() -> None:
    template, faces = face_with_curled_lips()
    end = np.arange(len(template) - 12, len(template))
    back = template[end].mean(axis=0) - [0.0, 0.0, 0.03]
    shut = np.stack([end, np.roll(end, -1), np.full(12, len(template))], axis=-1)
    mouth = found(np.concatenate([template, back[None].astype("f4")]), np.concatenate([faces, shut]), face_mesh()[2])
    assert (mouth.left, mouth.right, mouth.top, mouth.bottom) == (LEFT, RIGHT, ABOVE, BELOW)


def test_the_opening_is_the_mouth_and_neither_nostril_nor_rim() -> None:
    template, faces = face_with_curled_lips()
    opening = mouth_vertices(template, faces, lower_face())
    np.testing.assert_array_equal(opening, np.arange(len(template) - 12, len(template)))


def test_a_small_hole_in_a_mouth_that_is_sewn_shut_is_no_opening() -> None:
    template, faces, _ = face_mesh()
    shut = np.where(faces >= COLUMNS * 21, faces - COLUMNS * 21 + COLUMNS * ROW + 5, faces).astype("i4")
    centres = template[shut].mean(axis=1)
    nostril = (np.abs(centres[:, 0] - 0.005) < 0.005) & (np.abs(centres[:, 1] + 0.015) < 0.005)
    assert nostril.sum() == 2
    region = lower_face()[lower_face() < COLUMNS * 21]
    np.testing.assert_array_equal(mouth_vertices(template[: COLUMNS * 21], shut[~nostril], region), region)


def test_teeth_of_their_own_are_no_opening() -> None:
    template, faces = face_with_curled_lips()
    teeth = np.array([[-0.04, -0.05, 0.03], [0.04, -0.05, 0.03], [0.04, -0.03, 0.03], [-0.04, -0.03, 0.03]], "f4")
    first = len(template)
    faces = np.concatenate([faces, [[first, first + 1, first + 2], [first, first + 2, first + 3]]]).astype("i4")
    region = np.concatenate([lower_face(), np.arange(first - 12, first)])
    opening = mouth_vertices(np.concatenate([template, teeth]), faces, region)
    np.testing.assert_array_equal(opening, np.arange(first - 12, first))


def test_a_mouth_that_is_sewn_shut_has_the_outermost_lip_vertices_for_corners() -> None:
    template, faces, lips = face_mesh()
    shut = np.where(faces >= COLUMNS * 21, faces - COLUMNS * 21 + COLUMNS * ROW + 5, faces).astype("i4")
    lips = lips[lips < COLUMNS * 21]
    mouth = found(template[: COLUMNS * 21], shut, lips)
    assert template[mouth.left, 0] == template[lips, 0].max()
    assert template[mouth.right, 0] == template[lips, 0].min()
    assert template[mouth.top, 1] > template[mouth.bottom, 1]
    assert abs(template[mouth.top, 0]) < 1e-6


def test_the_axes_of_a_wide_region_are_those_of_its_mouth() -> None:
    template, faces = face_with_curled_lips()
    check_axes("h", template, faces, lower_face())
    lying = template[:, [0, 2, 1]] * np.array([1, -1, 1], "f4")
    with pytest.raises(ThunderError, match=r"seems to look to -Y with \+Z up"):
        check_axes("h", lying, faces, lower_face())


def test_a_region_as_wide_as_the_mesh_is_refused_where_nothing_is_open() -> None:
    template, faces, _ = face_mesh()
    shut = np.where(faces >= COLUMNS * 21, faces - COLUMNS * 21 + COLUMNS * ROW + 5, faces).astype("i4")
    with pytest.raises(ThunderError, match=r"cannot be lips of this mesh; check that they were chosen on it"):
        found(template[: COLUMNS * 21], shut, np.arange(COLUMNS * 10))


def test_pieces_agree_with_a_search() -> None:
    rng = np.random.default_rng(0)
    edges = rng.integers(0, 200, (130, 2))
    vertices = np.sort(rng.permutation(200)[:150])
    label = pieces(edges, vertices)
    neighbours: dict[int, set[int]] = {int(v): set() for v in vertices}
    for a, b in edges.tolist():
        if a in neighbours and b in neighbours:
            neighbours[a].add(b)
            neighbours[b].add(a)
    wanted: dict[int, int] = {}
    for number, start in enumerate(neighbours):
        waiting = [start]
        while waiting:
            vertex = waiting.pop()
            if vertex not in wanted:
                wanted[vertex] = number
                waiting += neighbours[vertex]
    same = np.array([wanted[int(v)] for v in vertices])
    np.testing.assert_array_equal(label[:, None] == label, same[:, None] == same)
