"""Linear heads and rotations, against hand-worked values."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.artifacts.head_record import LANDMARKS, HeadRecord
from stages.heads.arkit import ARKIT_CURVES, ARKIT_FEATURES, HEAD_ROTATION
from stages.heads.head import LinearHead, build_head, region_indices
from stages.heads.rotations import rotation_from_yaw_pitch_roll
from stages.runtime.errors import ThunderError
from tests.builders import small_head

X, Y, Z = torch.eye(3, dtype=torch.float64)


def triangle() -> HeadRecord:
    """Three vertices, two shapes, head rotation about (0, -1, 0); the last vertex follows by half."""
    basis = np.zeros((2, 3, 3), "f4")
    basis[0, 0] = (0, 1, 0)
    basis[1] = (0, 0, 2)
    return HeadRecord(
        kind="blendshape",
        name="triangle",
        units="m",
        template=np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], "f4"),
        faces=np.array([[0, 1, 2]], "i4"),
        features=("up", "out", *HEAD_ROTATION),
        regions={"lips": np.array([0, 2], "i4"), "none": np.array([], "i4")},
        landmarks=dict.fromkeys(LANDMARKS, 0),
        arrays={
            "basis": basis,
            "pivot": np.array([0, -1, 0], "f4"),
            "rotation_weights": np.array([1, 1, 0.5], "f4"),
        },
    )


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Tensor:
    return rotation_from_yaw_pitch_roll(torch.tensor([yaw, pitch, roll], dtype=torch.float64))


# Rotations


def test_conventions() -> None:
    quarter = math.pi / 2
    torch.testing.assert_close(turned(yaw=quarter) @ Z, X)  # the nose turns to the subject's left
    torch.testing.assert_close(turned(pitch=quarter) @ Z, -Y)  # the nose nods down
    torch.testing.assert_close(turned(roll=quarter) @ Y, -X)  # the crown tilts to the subject's right
    torch.testing.assert_close(turned(), torch.eye(3, dtype=torch.float64))


def test_roll_comes_first_and_yaw_last() -> None:
    yaw, pitch, roll = 0.3, -0.5, 0.7
    torch.testing.assert_close(turned(yaw, pitch, roll), turned(yaw=yaw) @ turned(pitch=pitch) @ turned(roll=roll))


def test_rotations_keep_lengths_and_handedness() -> None:
    angles = torch.linspace(-4, 4, 60, dtype=torch.float64).reshape(4, 5, 3)
    rotation = rotation_from_yaw_pitch_roll(angles)
    assert rotation.shape == (4, 5, 3, 3)
    identity = torch.eye(3, dtype=torch.float64).expand(4, 5, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), identity)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4, 5, dtype=torch.float64))


# Linear heads


def test_shapes_add_to_the_template() -> None:
    found = build_head(triangle()).vertices(torch.tensor([[0.5, 0, 0, 0, 0], [0, 0.25, 0, 0, 0], [1, -1, 0, 0, 0]]))
    expected = [
        [[0, 0.5, 1], [1, 0, 0], [0, 1, 0]],
        [[0, 0, 1.5], [1, 0, 0.5], [0, 1, 0.5]],
        [[0, 1, -1], [1, 0, -2], [0, 1, -2]],
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_rotation_is_about_the_pivot_and_by_weight() -> None:
    found = build_head(triangle()).vertices(torch.tensor([[0, 0, 0, 0, math.pi / 2]]))
    # A roll takes (x, y) from the pivot (0, -1) to (-y, x): (0, 0) to (-1, -1), (1, 0) to (-1, 0), (0, 1) to (-2, -1),
    # and the last vertex goes half the way.
    torch.testing.assert_close(found, torch.tensor([[[-1, -1, 1], [-1, 0, 0], [-1, 0, 0]]]).float())


def test_pose_false_leaves_out_rotation() -> None:
    head = build_head(triangle())
    motion = torch.tensor([[0.5, 0.25, 0.1, 0.2, 0.3]])
    torch.testing.assert_close(head.vertices(motion, pose=False), head.vertices(motion * torch.tensor([1, 1, 0, 0, 0])))


def test_a_head_without_rotation() -> None:
    record = dataclasses.replace(triangle(), kind="displacement", features=("a", "b"))
    head = build_head(record.without("pivot", "rotation_weights"))
    motion = torch.tensor([[0.5, 0.25]])
    torch.testing.assert_close(head.vertices(motion), head.vertices(motion, pose=False))


@pytest.mark.parametrize("pose", [True, False])
def test_indices_are_slicing(pose: bool) -> None:
    head = build_head(small_head())
    motion = torch.rand(2, 4, 55)
    indices = torch.tensor([60, 3, 3, 17])
    torch.testing.assert_close(
        head.vertices(motion, indices=indices, pose=pose), head.vertices(motion, pose=pose)[..., indices, :]
    )
    template = torch.rand(2, 1, 64, 3)
    torch.testing.assert_close(
        head.vertices(motion, template=template, indices=indices, pose=pose),
        head.vertices(motion, template=template, pose=pose)[..., indices, :],
    )


def test_every_batch_shape_gives_the_same_vertices() -> None:
    head = build_head(small_head())
    motion = torch.rand(2, 3, 4, 55)
    found = head.vertices(motion)
    assert found.shape == (2, 3, 4, 64, 3)
    torch.testing.assert_close(found[1, 2], head.vertices(motion[1, 2]))
    assert head.vertices(motion[0, 0, :0]).shape == (0, 64, 3)


def test_each_of_a_batch_has_its_template() -> None:
    head = build_head(small_head())
    motion, templates = torch.rand(2, 4, 55), torch.rand(2, 64, 3)
    found = head.vertices(motion, template=templates[:, None])
    for k in range(2):
        torch.testing.assert_close(found[k], head.vertices(motion[k], template=templates[k]))


def test_gradients_are_those_of_finite_differences() -> None:
    head = build_head(small_head()).double()
    motion = torch.rand(2, 55, dtype=torch.float64, requires_grad=True)
    indices = torch.tensor([0, 20, 40])
    assert torch.autograd.gradcheck(lambda m: head.vertices(m, indices=indices), motion)
    head.vertices(motion).square().sum().backward()
    assert motion.grad is not None
    assert (motion.grad.abs() > 0).all()


# What is refused


def test_a_motion_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted \(..., T, 5\), found \(4, 6\)"):
        build_head(triangle()).vertices(torch.zeros(4, 6))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "chumpy"}, "wanted kind blendshape, displacement or flame, found 'chumpy'"),
        ({"features": ("a", "b", "c")}, "2 shapes want 2 or 5 features, found 3"),
        ({"arrays": {}}, "array 'basis' is missing"),
        ({"arrays": {"basis": triangle().arrays["basis"]}}, "array 'pivot' is missing"),
    ],
)
def test_records_that_are_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(ThunderError, match=expected):
        build_head(dataclasses.replace(triangle(), **changes))  # type: ignore[arg-type]


def test_regions() -> None:
    assert region_indices(triangle(), "lips").tolist() == [0, 2]
    assert region_indices(triangle(), "lips").dtype == torch.int64
    for name in ("none", "ears"):
        with pytest.raises(ThunderError, match=f"wanted a region '{name}', found lips"):
            region_indices(triangle(), name)


def test_a_head_keeps_its_arrays_out_of_checkpoints() -> None:
    assert LinearHead(triangle()).state_dict() == {}


def test_arkit_names() -> None:
    assert len(ARKIT_CURVES) == len(set(ARKIT_CURVES)) == 52
    assert (*ARKIT_CURVES, "headYaw", "headPitch", "headRoll") == ARKIT_FEATURES
    lefts = {name for name in ARKIT_CURVES if name.endswith("Left")}
    assert {name.replace("Left", "Right") for name in lefts} == {n for n in ARKIT_CURVES if n.endswith("Right")}
