import torch

from stages.rendering.occlusion import light_reaching
from tests.rendering.meshes import sphere


def test_an_open_ball_is_bright_and_one_inside_it_is_dark():
    vertices, faces = sphere(3)
    light = light_reaching(torch.cat([vertices, 0.6 * vertices]), torch.cat([faces, faces + len(vertices)]))
    outer, inner = light.split(len(vertices))
    assert outer.min() > 0.9
    assert inner.max() < 0.02


def test_light_is_lost_below_a_roof_only():
    ball, faces = sphere(3)
    # A flat disc over one of two balls.
    roof = ball * torch.tensor([1.5, 0.05, 1.5]) + torch.tensor([-3.0, 1.3, 0.0])
    vertices = torch.cat([ball + torch.tensor([-3.0, 0.0, 0.0]), ball + torch.tensor([3.0, 0.0, 0.0]), roof])
    light = light_reaching(vertices, torch.cat([faces + k * len(ball) for k in range(3)]))
    under, open_air, _ = light.split(len(ball))
    upper_half = ball[:, 1] > 0.5
    assert under[upper_half].mean() < 0.6
    assert open_air[upper_half].mean() > 0.9


def test_the_unit_of_the_mesh_does_not_matter():
    vertices, faces = sphere(2)
    vertices = vertices * torch.tensor([0.4, 1.0, 0.3])
    torch.testing.assert_close(
        light_reaching(vertices, faces), light_reaching(1000 * vertices, faces), atol=0.02, rtol=0
    )
