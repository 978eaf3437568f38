"""FLAME heads against an independent reference in double precision, loop by loop."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.heads.flame import FLAME_ROTATION, FlameHead, flame_features
from stages.heads.head import build_head, rotation_features
from stages.heads.rotations import rotation_from_axis_angle
from stages.runtime.errors import ThunderError
from tests.builders import small_head

JOINTS = ("head", "neck", "jaw", "eyeLeft", "eyeRight")
PARENTS = [-1, 0, 1, 1, 1]
NUM_EXPRESSIONS = 6


def flame_head(joints: tuple[str, ...] = JOINTS, seed: int = 0) -> HeadRecord:
    """A FLAME head of 64 vertices whose every array is random, so that no term can be forgotten unseen."""
    rng = np.random.default_rng(seed)
    surface = small_head()
    num_vertices = len(surface.template)
    regressor, weights = rng.random((5, num_vertices)) ** 8, rng.random((num_vertices, 5)) ** 4
    return dataclasses.replace(
        surface,
        kind="flame",
        name="small FLAME head",
        features=flame_features(NUM_EXPRESSIONS, joints),
        arrays={
            "basis": rng.normal(0, 0.002, (NUM_EXPRESSIONS, num_vertices, 3)).astype("f4"),
            "pose_basis": rng.normal(0, 0.002, (36, num_vertices, 3)).astype("f4"),
            "joint_regressor": (regressor / regressor.sum(1, keepdims=True)).astype("f4"),
            "skinning_weights": (weights / weights.sum(1, keepdims=True)).astype("f4"),
            "parents": np.array(PARENTS, "i4"),
        },
    )


def some_motion(record: HeadRecord, shape: tuple[int, ...] = (4,), seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 0.5, (*shape, len(record.features)))).float()


def reference(record: HeadRecord, motion: np.ndarray, template: np.ndarray | None = None) -> np.ndarray:
    """Vertices (T, V, 3) by the paper's formulas, one frame, joint and vertex after the other, in double precision.

    Rotations are scipy's; transforms are chained as 4 by 4 matrices from the root down, and the rest pose is undone by an
    inverse matrix.
    """
    arrays = {name: values.astype(np.float64) for name, values in record.arrays.items()}
    column = {name: k for k, name in enumerate(record.features)}
    template = (record.template if template is None else template).astype(np.float64)
    frames = []
    num_expressions = len(arrays["basis"])
    for row in motion.astype(np.float64):
        rest = template.copy()
        for k in range(num_expressions):
            rest += row[column[f"exp{k:03d}"]] * arrays["basis"][k]
        places = [sum(w * p for w, p in zip(line, rest, strict=True)) for line in arrays["joint_regressor"]]
        rotations = []
        for joint in JOINTS:
            angles = [row[column[f"{joint}{axis}"]] if f"{joint}X" in column else 0.0 for axis in "XYZ"]
            rotations.append(Rotation.from_rotvec(angles).as_matrix())
        posed = rest.copy()
        numbers = np.concatenate([(r - np.eye(3)).reshape(-1) for r in rotations[1:]])
        for p, number in enumerate(numbers):
            posed += number * arrays["pose_basis"][p]
        worlds: list[np.ndarray] = []
        for j, parent in enumerate(PARENTS):
            local = np.eye(4)
            local[:3, :3] = rotations[j]
            local[:3, 3] = places[j] - (places[parent] if parent >= 0 else 0.0)
            worlds.append(local if parent < 0 else worlds[parent] @ local)
        moved = np.zeros_like(rest)
        for v, vertex in enumerate(posed):
            for j, world in enumerate(worlds):
                undone = np.eye(4)
                undone[:3, 3] = places[j]
                transform = world @ np.linalg.inv(undone)
                moved[v] += arrays["skinning_weights"][v, j] * (transform @ np.append(vertex, 1.0))[:3]
        frames.append(moved)
    return np.stack(frames)


# Rotations


def test_axis_angle_is_right_at_zero_near_it_and_far_from_it() -> None:
    for length in (0.0, 1e-12, 1e-5, 0.0316, 0.0317, 0.5, math.pi, 4.0, 2 * math.pi):
        direction = np.array([0.36, -0.48, 0.8])
        found = rotation_from_axis_angle(torch.from_numpy(length * direction))
        np.testing.assert_allclose(found.numpy(), Rotation.from_rotvec(length * direction).as_matrix(), atol=1e-14)


def test_axis_angle_has_the_right_slope_at_zero_and_everywhere() -> None:
    for length in (0.0, 1e-6, 0.03, 0.032, 1.0, 3.0):
        angles = torch.tensor([[0.36, -0.48, 0.8], [0.0, 0.0, 1.0]], dtype=torch.float64) * length
        assert torch.autograd.gradcheck(rotation_from_axis_angle, angles.requires_grad_())
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(rotation_from_axis_angle(zero)[2, 1], zero)
    assert slope.tolist() == [1.0, 0.0, 0.0]


# Skinning


@pytest.mark.parametrize(
    "joints", [JOINTS, ("jaw",), ("head", "jaw"), ("neck", "jaw"), ("head", "neck"), ("eyeLeft", "eyeRight", "jaw"), ()]
)
def test_skinning_is_that_of_the_reference(joints: tuple[str, ...]) -> None:
    record = flame_head(joints)
    motion = some_motion(record)
    found = build_head(record).vertices(motion).numpy()
    np.testing.assert_allclose(found, reference(record, motion.numpy()), atol=2e-7)


def test_rest_is_exactly_the_template_and_expressions_alone_add() -> None:
    record = flame_head()
    head = build_head(record)
    motion = torch.zeros(3, len(record.features))
    np.testing.assert_array_equal(head.vertices(motion)[1].numpy(), record.template)
    motion[:, 2] = 0.5
    torch.testing.assert_close(head.vertices(motion)[0], head.template + 0.5 * head.basis[2])


def test_joints_follow_the_subject() -> None:
    record = flame_head()
    motion, template = some_motion(record), record.template * np.array([1.2, 0.9, 1.1], "f4") + np.float32(0.01)
    found = build_head(record).vertices(motion, template=torch.from_numpy(template)).numpy()
    np.testing.assert_allclose(found, reference(record, motion.numpy(), template), atol=2e-7)


def test_pose_false_leaves_out_root_and_neck_and_keeps_the_jaw() -> None:
    record = flame_head()
    head, motion = build_head(record), some_motion(record)
    still = motion.clone()
    still[:, [record.features.index(name) for name in FLAME_ROTATION]] = 0
    torch.testing.assert_close(head.vertices(motion, pose=False), head.vertices(still))
    closed = still.clone()
    closed[:, record.features.index("jawX")] = 0
    assert (head.vertices(closed) - head.vertices(motion, pose=False)).abs().max() > 1e-3
    assert rotation_features(record) == record.features[-6:]
    assert set(rotation_features(record)) == set(FLAME_ROTATION)


def test_indices_batches_and_templates() -> None:
    record = flame_head()
    head, motion = build_head(record), some_motion(record, (2, 3, 4))
    indices = torch.tensor([60, 3, 3, 17])
    found = head.vertices(motion)
    assert found.shape == (2, 3, 4, 64, 3)
    torch.testing.assert_close(found[1, 2], head.vertices(motion[1, 2]), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(head.vertices(motion, indices=indices), found[..., indices, :], atol=1e-7, rtol=1e-5)
    templates = torch.from_numpy(record.template) * torch.tensor([1.0, 1.1])[:, None, None]
    each = head.vertices(motion[:, 0], template=templates[:, None], indices=indices)
    for k in range(2):
        alone = head.vertices(motion[k, 0], template=templates[k])[:, indices]
        torch.testing.assert_close(each[k], alone, atol=1e-7, rtol=1e-5)
    assert head.vertices(motion[0, 0, :0]).shape == (0, 64, 3)


def test_gradients_are_those_of_finite_differences_and_exist_at_rest() -> None:
    record = flame_head()
    head = build_head(record).double()
    indices = torch.tensor([0, 20, 40])
    for motion in (some_motion(record, (2,)).double(), torch.zeros(1, len(record.features), dtype=torch.float64)):
        assert torch.autograd.gradcheck(lambda m: head.vertices(m, indices=indices), motion.requires_grad_())
        (slope,) = torch.autograd.grad((head.vertices(motion) * torch.rand(64, 3)).sum(), motion)
        assert (slope.abs() > 0).all()


# What is refused


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"arrays": {}}, "array 'basis' is missing"),
        ({"features": ("exp000", "jawX")}, "6 expressions and joints jaw want 9 features, exp000 to jawZ, found 2"),
        ({"features": flame_head().features[::-1]}, "want 21 features"),
    ],
)
def test_records_that_are_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(ThunderError, match=expected):
        build_head(dataclasses.replace(flame_head(), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "parents", [[0, 0, 1, 1, 1], [-1, -1, 1, 1, 1], [-1, 2, 1, 1, 1], [-1, 0, 7, 1, 1], [-1, 0, 1]]
)
def test_trees_that_are_none_are_refused(parents: list[int]) -> None:
    record = flame_head()
    with pytest.raises(ThunderError, match="parents wanted 5 joints"):
        FlameHead(dataclasses.replace(record, arrays=record.arrays | {"parents": np.array(parents)}))


def test_a_motion_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted \(..., T, 21\), found \(4, 6\)"):
        build_head(flame_head()).vertices(torch.zeros(4, 6))
