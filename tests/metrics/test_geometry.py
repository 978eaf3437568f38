"""Distances, dynamics and jitter against hand-worked values and loops written out naively."""

import numpy as np
import pytest
import torch

from stages.metrics import geometry


def _random_faces(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.01, (*shape, 3)).astype("f4"))


def test_mean_vertex_error_of_one_frame_and_two_vertices_worked_by_hand() -> None:
    truth = torch.zeros(1, 2, 3)
    vertices = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]])
    assert geometry.mean_vertex_error(vertices, truth).item() == pytest.approx((5 + 1) / 2)


def test_lip_vertex_error_takes_the_worst_vertex_of_each_frame_and_squares() -> None:
    truth = torch.zeros(2, 2, 3)
    lips = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]]])
    assert geometry.lip_vertex_error(lips, truth).item() == pytest.approx((25 + 4) / 2)
    assert geometry.lip_vertex_distance(lips, truth).item() == pytest.approx((5 + 2) / 2)


def test_lip_vertex_error_pooled_over_clips_equals_the_published_script_written_out() -> None:
    clips = [
        (_random_faces(2 * k, num_frames, 6), _random_faces(2 * k + 1, num_frames, 6))
        for k, num_frames in enumerate((3, 11))
    ]
    largest = []
    for lips, truth in clips:
        for t in range(len(lips)):
            largest.append(
                max(sum((float(lips[t, v, c]) - float(truth[t, v, c])) ** 2 for c in range(3)) for v in range(6))
            )
    expected = sum(largest) / len(largest)
    values = [geometry.lip_vertex_error(lips, truth).item() for lips, truth in clips]
    assert np.average(values, weights=[3, 11]) == pytest.approx(expected, rel=1e-5)
    assert np.mean(values) != pytest.approx(expected, rel=1e-2)


def test_face_dynamics_deviation_equals_a_naive_loop() -> None:
    vertices, truth, template = _random_faces(0, 9, 4), _random_faces(1, 9, 4), _random_faces(2, 4)

    def dynamics(faces: torch.Tensor) -> float:
        deviations = []
        for v in range(4):
            squares = [sum((float(faces[t, v, c]) - float(template[v, c])) ** 2 for c in range(3)) for t in range(9)]
            mean = sum(squares) / 9
            deviations.append((sum((s - mean) ** 2 for s in squares) / 9) ** 0.5)
        return sum(deviations) / 4

    found = geometry.face_dynamics_deviation(vertices, truth, template).item()
    assert found == pytest.approx(dynamics(truth) - dynamics(vertices), rel=1e-4)


def test_signed_deviation_cancels_between_clips_and_the_absolute_one_does_not() -> None:
    lively, dull, template = 2 * _random_faces(0, 20, 4), _random_faces(0, 20, 4), torch.zeros(4, 3)
    signed = [
        geometry.face_dynamics_deviation(lively, dull, template).item(),
        geometry.face_dynamics_deviation(dull, lively, template).item(),
    ]
    assert signed[0] < 0 < signed[1]  # positive: the truth is livelier
    assert sum(signed) == pytest.approx(0)
    absolute = geometry.absolute_face_dynamics_deviation(lively, dull, template).item()
    assert absolute == pytest.approx(-signed[0])


def test_all_differences_are_zero_at_equality_and_takes_are_measured_each_on_its_own() -> None:
    takes, template = _random_faces(0, 3, 7, 5), _random_faces(1, 5)
    truth = takes[1]
    for formula in (geometry.mean_vertex_error, geometry.lip_vertex_error, geometry.lip_vertex_distance):
        values = formula(takes, truth)
        assert values.shape == (3,)
        assert values[1] == 0
        assert values[0] > 0
    assert geometry.face_dynamics_deviation(takes, truth, template)[1] == 0


def test_jitter_of_cubic_motion_is_its_constant_jerk_whatever_the_rate() -> None:
    for fps in (25.0, 60.0):
        time = torch.arange(20) / fps
        vertices = torch.zeros(20, 2, 3)
        vertices[:, 0, 1] = time**3  # jerk 6
        assert geometry.jitter(vertices, fps).item() == pytest.approx(3.0, rel=1e-2)


def test_jitter_ignores_steady_acceleration_and_is_undefined_below_four_frames() -> None:
    vertices = (torch.arange(10.0) ** 2)[:, None, None].expand(10, 2, 3)
    assert geometry.jitter(vertices, 25.0).item() == pytest.approx(0, abs=1e-6)
    assert torch.isnan(geometry.jitter(vertices[:3], 25.0))
