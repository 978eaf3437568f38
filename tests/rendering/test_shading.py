import dataclasses

import pytest
import torch

from stages.rendering.antialiasing import mesh_edges
from stages.rendering.camera import portrait_camera
from stages.rendering.scene import Scene
from stages.rendering.shading import Lamp, display, display_bytes, shade, studio_background, vertex_normals
from tests.rendering.meshes import sphere

VIEWER = torch.tensor([0.0, 0.0, 1.0])


def sphere_scene(size=48):
    vertices, faces = sphere(3)
    surface = torch.tensor([0.5, 0.5, 0.5, 0.1, 0.1]).repeat(len(vertices), 1)
    camera = portrait_camera(vertices)
    return vertices, Scene(faces, mesh_edges(faces), surface, camera, studio_background(size, size))


def test_normals_of_a_sphere_point_outward_and_turn_with_it():
    vertices, faces = sphere(3)
    batch = torch.stack([vertices, 2 * vertices[:, [1, 2, 0]]])
    normals = vertex_normals(batch, faces)
    torch.testing.assert_close(normals[0], vertices, atol=0.03, rtol=0)
    torch.testing.assert_close(normals[1], vertices[:, [1, 2, 0]], atol=0.03, rtol=0)


def test_a_vertex_without_faces_has_no_normal():
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]]])
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    assert torch.equal(normals[0], torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]))


def test_light_of_one_lamp_by_hand():
    lamp = Lamp((0.0, 0.0, 2.0), (1.0, 0.5, 2.0), wrap=0.0)
    soft = Lamp((0.0, 0.0, 2.0), (1.0, 0.5, 2.0), wrap=1.0)
    normals = torch.tensor([[0.0, 0.0, 3.0], [0.0, 3.0**0.5 / 2, 0.5], [0.0, 0.0, -1.0]])
    chalk = torch.tensor([0.5, 0.5, 0.5, 0.0, 0.0]).repeat(3, 1)
    # The squared cosine; half-Lambert where it is soft.
    blue = shade(normals, chalk, VIEWER, (lamp,))[:, 2]
    torch.testing.assert_close(blue, torch.tensor([1.0, 0.25, 0.0]))
    blue = shade(normals, chalk, VIEWER, (soft,))[:, 2]
    torch.testing.assert_close(blue, torch.tensor([1.0, 0.75**2, 0.0]))
    # Red reaches a tenth further.
    red, green, _ = shade(normals, chalk, VIEWER, (lamp,)).unbind(1)
    torch.testing.assert_close(red, 0.5 * torch.tensor([1.0, (0.6 / 1.1) ** 2, 0.0]))
    torch.testing.assert_close(green, 0.25 * torch.tensor([1.0, 0.25, 0.0]))


def test_gloss_adds_a_highlight_where_the_lamp_is_mirrored():
    lamp = Lamp((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), wrap=0.0, gloss=1.0)
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.3, 0.954], [0.0, 0.7, 0.7]])
    black = torch.zeros(3, 5)
    for strength in (torch.tensor([0.3, 0.0]), torch.tensor([0.0, 0.3])):
        black[:, 3:] = strength
        light = shade(normals, black, VIEWER, (lamp,))[:, 1]
        assert light[0].item() == pytest.approx(0.3)
        assert light[2] < 0.01
    assert light[1] < 0.01  # the small one is smaller


def test_display_is_srgb_below_the_knee_and_never_clips_above():
    linear = torch.tensor([0.0, 0.001, 0.2140, 0.5, 0.7, 1.0, 2.0, 4.0])
    shown = display(linear)
    assert shown[:4].tolist() == pytest.approx([0.0, 0.01292, 0.5, 0.7354], abs=1e-3)
    assert (shown.diff() > 0).all()
    assert shown.max() < 1
    assert (display_bytes(linear).float() - shown * 255).abs().max() <= 1
    ramp = torch.linspace(0, 2, 100_000)
    assert (display_bytes(ramp).float() - display(ramp) * 255).abs().max() <= 1


def test_a_picture_has_the_head_before_the_background():
    vertices, scene = sphere_scene()
    picture, coverage = scene.render(vertices[None])
    assert picture.shape == (1, 48, 48, 3)
    assert 0.4 < coverage.item() < 0.8
    assert torch.equal(picture[0, 0, 0], scene.background[0, 0])
    assert (picture[0, 24, 24] - scene.background[24, 24]).abs().max() > 0.05
    assert picture[0, 12, 16].mean() > 1.5 * picture[0, 36, 30].mean()  # the key shines from above the viewer's left


def test_gradients_of_a_whole_picture_agree_with_finite_differences():
    """Place, turn and parting, through shading, barycentrics and silhouettes at once."""
    vertices, scene = sphere_scene(96)
    vertices = vertices * torch.tensor([0.7, 1.0, 0.8])
    scene = dataclasses.replace(scene, background=torch.zeros(96, 96, 3))
    ramp = torch.linspace(0, 1, 96)
    weight = (ramp[:, None] ** 2 + 2 * ramp**2)[..., None] * torch.tensor([1.0, 0.5, 0.25])

    def total(change):
        shift, turn, part = change
        c, s = torch.cos(turn), torch.sin(turn)
        x, y, z = vertices.to(change).unbind(-1)
        y = y + part * torch.tanh(20 * y)  # the upper half rises, the lower falls
        x, z = x * c + z * s, z * c - x * s
        picture, _ = scene.render(torch.stack([x + shift, y, z], -1)[None])
        return (picture[0] * weight).sum()

    at = torch.tensor([0.03, 0.4, 0.02], requires_grad=True)
    (exact,) = torch.autograd.grad(total(at), at)
    for k, name in enumerate(("shift", "turn", "part")):
        change = 0.03 * torch.eye(3)[k]
        with torch.no_grad():
            difference = (total(at + change) - total(at - change)) / 0.06
        # An outline is given the colour of the pixel inside it, and a rim of light is thinner than that.
        assert exact[k].item() == pytest.approx(difference.item(), rel=0.12), name
