import torch

from stages.rendering.occlusion import lamp_reaching, light_reaching
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


def test_a_lamp_casts_a_soft_shadow_along_its_light():
    ball, faces = sphere(3)
    # A ball on the floor, a third of it sunk; the lamp stands aside, a little before and above.
    grid = torch.linspace(-6, 6, 41)
    x, z = (v.flatten() for v in torch.meshgrid(grid, grid, indexing="ij"))
    floor = torch.stack([x, torch.full_like(x, -0.6), z], 1)
    corner = (torch.arange(40)[:, None] * 41 + torch.arange(40)).flatten()
    squares = torch.stack([corner, corner + 1, corner + 42, corner, corner + 42, corner + 41], 1).reshape(-1, 3)
    vertices = torch.cat([ball, floor])
    light = lamp_reaching(vertices, torch.cat([faces, squares + len(ball)]), (-1.0, 1.0, 0.0))
    on_floor = light[len(ball) :]
    near = z.abs() < 0.4
    assert on_floor[near & (x > 1.2) & (x < 1.6)].max() < 0.5  # behind the ball
    assert on_floor[near & (x < -2)].min() > 0.95  # before it
    assert on_floor[(z.abs() > 3) & (x.abs() < 4)].min() > 0.95  # beside it
    partly = on_floor[near & (x > 1)]
    assert ((partly > 0.2) & (partly < 0.9)).any()  # a soft edge
    assert light[: len(ball)][(ball @ torch.tensor([-1.0, 1.0, 0.0])) < -1.2].min() == 1  # its own back is no shadow


def test_the_unit_of_the_mesh_does_not_matter():
    vertices, faces = sphere(2)
    vertices = vertices * torch.tensor([0.4, 1.0, 0.3])
    torch.testing.assert_close(
        light_reaching(vertices, faces), light_reaching(1000 * vertices, faces), atol=0.02, rtol=0
    )
