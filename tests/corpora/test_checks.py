from dataclasses import replace

import numpy as np
import pytest

from stages.corpora.checks import check_axes, check_head, check_same_order, check_templates, open_mouths
from stages.corpora.surface import surface_from_lips
from stages.runtime.errors import ThunderError
from tests.corpora.written import face_mesh, face_motion


def test_a_talking_face_has_the_template_s_order() -> None:
    template, faces, _ = face_mesh()
    for frame in face_motion(template, 20, 3):
        check_same_order("a", frame, template, faces)
    check_same_order("a", template * [1.2, 0.9, 1.1], template, faces)  # another head


def test_shuffled_vertices_are_caught() -> None:
    template, faces, _ = face_mesh()
    order = np.random.default_rng(0).permutation(len(template))
    with pytest.raises(ThunderError, match=r"clip: its vertices stand in another order.*vertex order kept"):
        check_same_order("clip", template[order], template, faces)
    # Two strips exchanged, as a program that sorts by material does: a third of the vertices.
    strips = np.concatenate([np.arange(220, 320), np.arange(100, 220), np.arange(100)])
    with pytest.raises(ThunderError, match="another order"):
        check_same_order("clip", template[strips], template, faces)


@pytest.mark.parametrize("factor", [1000.0, 0.001, 10.0, 2.54])
def test_another_scale_is_caught(factor: float) -> None:
    template, faces, _ = face_mesh()
    with pytest.raises(ThunderError, match=f"{factor:.4g} times the size of the template"):
        check_same_order("clip", template * np.float32(factor), template, faces)


@pytest.mark.parametrize(("factor", "scale"), [(1000.0, "0.001"), (100.0, "0.01"), (10.0, "0.1")])
def test_a_head_in_another_unit_is_caught(factor: float, scale: str) -> None:
    template, faces, lips = face_mesh()
    head = surface_from_lips("h", "m", template * np.float32(factor), faces, lips)
    with pytest.raises(ThunderError, match=f"give --scale {scale} "):
        check_head("h", head)
    check_head("h", replace(head, units="unitless"))
    check_head("h", surface_from_lips("h", "m", template, faces, lips))


@pytest.mark.parametrize(
    ("turn", "front", "up"),
    [
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], "-Y", r"\+Z"),  # Blender
        ([[1, 0, 0], [0, -1, 0], [0, 0, -1]], "-Z", "-Y"),
        ([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], "-Z", r"\+Y"),
        ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], r"\+X", r"\+Y"),
    ],
)
def test_other_axes_are_caught_and_named(turn: list[list[int]], front: str, up: str) -> None:
    template, faces, lips = face_mesh()
    check_axes("t", template, faces, lips)
    with pytest.raises(ThunderError, match=rf"t: the face seems to look to {front} with {up} up"):
        check_axes("t", template @ np.array(turn, "f4").T, faces, lips)


def test_an_open_mouth_is_remarked_on() -> None:
    template, faces, lips = face_mesh()
    head = surface_from_lips("h", "m", template, faces, lips)
    opened = template.copy()
    opened[template[:, 1] < -0.0398, 1] -= 0.015
    (remark,) = open_mouths(head, {"ann": template, "bob": opened})
    assert remark.startswith("the template of bob has its mouth open by 1")
    assert "put a template with closed lips" in remark


def test_templates_in_another_order_than_the_mesh_file() -> None:
    template, faces, _ = face_mesh()
    order = np.random.default_rng(1).permutation(len(template))
    check_templates("t", {"a": 5 * template}, faces, template)
    with pytest.raises(ThunderError, match="t: template of a: its vertices stand in another order"):
        check_templates("t", {"a": template[order]}, faces, template)
