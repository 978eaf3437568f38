import math

import pytest
import torch

from stages.rendering.camera import Camera, portrait_camera
from tests.rendering.meshes import sphere


def test_perspective_projects_hand_worked_points():
    camera = Camera((0.0, 0.0, 2.0), (0.0, 0.0, 0.0), aspect=2.0, field_of_view=math.pi / 2)
    points = camera.project(torch.tensor([[1.0, 1.0, 0.0], [0.0, -1.0, 1.0]]))
    # At depth 2 the picture is 4 high and 8 wide; at depth 1, half of that.
    torch.testing.assert_close(points, torch.tensor([[0.25, 0.5, 2.0], [0.0, -1.0, 1.0]]))


def test_orthographic_ignores_depth():
    camera = Camera((0.0, 0.0, 2.0), (0.0, 0.0, 0.0), half_height=0.5)
    points = camera.project(torch.tensor([[0.25, 0.5, 0.0], [0.25, 0.5, -7.0]]))
    torch.testing.assert_close(points, torch.tensor([[0.5, 1.0, 2.0], [0.5, 1.0, 9.0]]))


def test_a_camera_that_walks_to_the_subjects_left_sees_the_nose_point_to_its_own_left():
    head = torch.tensor([[-0.1, -0.15, -0.1], [0.1, 0.15, 0.1]])
    nose = torch.tensor([[0.0, 0.0, 0.1]])
    assert portrait_camera(head).project(nose)[0, 0].item() == pytest.approx(0, abs=1e-6)
    assert portrait_camera(head, yaw=0.5).project(nose)[0, 0] < -0.1


@pytest.mark.parametrize("unit", [1.0, 1000.0])
@pytest.mark.parametrize("aspect", [0.5, 0.8, 2.0])
def test_a_portrait_holds_the_whole_head_and_wastes_little(unit, aspect):
    vertices = unit * (sphere(2)[0] * torch.tensor([0.08, 0.13, 0.10]) + torch.tensor([0.0, 0.3, 1.0]))
    camera = portrait_camera(vertices, aspect)
    reach = camera.project(vertices)[:, :2].abs().amax(0).max()
    assert 0.8 < reach < 0.98
    assert 0.4 * unit < camera.distance < 1.2 * unit


def test_what_is_far_below_the_chin_does_not_make_a_face_smaller():
    face = sphere(2)[0] * torch.tensor([0.08, 0.13, 0.10])
    shoulders = torch.tensor([[-0.3, -0.4, 0.0], [0.3, -0.4, 0.0]])
    chin = torch.tensor([0.0, -0.13, 0.05])
    camera = portrait_camera(torch.cat([face, shoulders]), 0.8, chin=chin)
    assert 0.8 < camera.project(face)[:, 1].max() < 0.98
    assert camera.project(shoulders)[0, 1] < -1
