import math

import pytest
import torch

from stages.rendering.antialiasing import antialias, mesh_edges
from stages.rendering.rasteriser import rasterise
from tests.rendering.meshes import seen_from_front, sphere


def picture_of(points, faces, size, perspective=False):
    """White mesh on black, antialiased: (B, size, size)."""
    fragments = rasterise(points, faces, size, size, perspective=perspective)
    white = torch.ones(len(fragments.pixel), 1, dtype=points.dtype)
    picture = fragments.picture(white, torch.zeros(1))
    return antialias(picture, fragments, points, faces, mesh_edges(faces))[..., 0]


def square(left, right, low, high, depth):
    """Points (4, 3) of an upright rectangle; faces are `SQUARE`."""
    corners = [(left, low), (right, low), (right, high), (left, high)]
    return torch.stack([torch.stack([torch.as_tensor(v) for v in (*c, depth)]) for c in corners]).float()


SQUARE = torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_edges_of_a_closed_mesh_have_two_faces_and_those_of_an_open_one_may_not():
    vertices, faces = sphere(1)
    edges = mesh_edges(faces)
    assert len(vertices) - len(edges.vertices) + len(faces) == 2  # Euler
    assert (edges.faces >= 0).all()
    for (a, b), (f, g) in zip(edges.vertices.tolist(), edges.faces.tolist(), strict=True):
        assert {a, b} <= set(faces[f].tolist()) & set(faces[g].tolist())
        assert f != g
    assert (mesh_edges(SQUARE).faces[:, 1] < 0).sum() == 4
    assert len(mesh_edges(SQUARE).vertices) == 5


@pytest.mark.parametrize("right", [0.0, 0.1, 0.24, 0.26, 0.4, 0.499])
def test_an_upright_edge_covers_its_share_of_the_pixel(right):
    """Four pixels are one unit wide: the edge at x stands 4 + 4 x pixels from the left."""
    picture = picture_of(square(-0.75, right, -0.5, 0.5, 1.0)[None], SQUARE, 8)[0]
    edge = 4 + 4 * right
    whole = math.floor(edge)
    assert picture[4, : whole - 1].sum() == pytest.approx(whole - 2, abs=1e-5)  # from pixel 1
    assert picture[4].sum() == pytest.approx(edge - 1, abs=1e-5)


@pytest.mark.parametrize("size", [48, 128])
def test_area_of_a_disc_and_its_gradients(size):
    vertices, faces = sphere(4)
    scale = torch.tensor(0.7, requires_grad=True)
    shift = torch.zeros(2, requires_grad=True)
    moved = vertices * scale + torch.cat([shift, torch.zeros(1)])
    picture = picture_of(seen_from_front(moved)[None], faces, size)[0]
    unit = (2 / size) ** 2
    assert picture.sum().item() * unit == pytest.approx(math.pi * 0.49, rel=2e-3)
    (by_scale,) = torch.autograd.grad(picture.sum() * unit, scale, retain_graph=True)
    # Pixels where the outline turns from steep to flat are blended both ways, or neither.
    assert by_scale.item() == pytest.approx(2 * math.pi * 0.7, rel=2e-2)
    # Moving the disc moves its centre of mass by as much, times its area.
    x = (torch.arange(size) + 0.5) * 2 / size - 1
    (by_shift,) = torch.autograd.grad((picture * x).sum() * unit, shift)
    assert by_shift[0].item() == pytest.approx(math.pi * 0.49, rel=2e-2)
    assert by_shift[1].item() == pytest.approx(0.0, abs=2e-2)


def test_gradient_agrees_with_finite_differences_of_the_picture_itself():
    """The picture is continuous in the points, so differences of whole pictures are a fair judge."""
    vertices, faces = sphere(2)
    weight = torch.linspace(0, 1, 64)[:, None] * torch.linspace(1, 2, 64)

    def total(turn, stretch):
        c, s = torch.cos(turn), torch.sin(turn)
        x, y, z = vertices.double().unbind(-1)
        moved = torch.stack([0.8 * x * c - 0.4 * y * s, 0.8 * x * s + 0.4 * y * c * stretch, z], -1)
        return (picture_of(seen_from_front(moved)[None], faces, 64)[0] * weight).sum()

    turn, stretch = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.4, 1.1))
    exact = torch.autograd.grad(total(turn, stretch), (turn, stretch))
    step = 2e-3
    with torch.no_grad():
        by_turn = (total(turn + step, stretch) - total(turn - step, stretch)) / (2 * step)
        by_stretch = (total(turn, stretch + step) - total(turn, stretch - step)) / (2 * step)
    assert exact[0].item() == pytest.approx(by_turn.item(), rel=0.03)
    assert exact[1].item() == pytest.approx(by_stretch.item(), rel=0.03)


def test_a_mouth_that_parts_is_felt_and_an_edge_behind_something_is_not():
    def opened(gap, cover):
        upper = square(-0.5, 0.5, 0.5 * gap, 0.5, 1.0)
        lower = square(-0.5, 0.5, -0.5, -0.5 * gap, 1.0)
        parts = [upper, lower] + ([square(-0.9, 0.9, -0.9, 0.9, 0.5)] if cover else [])
        faces = torch.cat([SQUARE + 4 * k for k in range(len(parts))])
        return picture_of(torch.cat(parts)[None], faces, 40)[0]

    gap = torch.tensor(0.13, requires_grad=True)
    # The slit is 20 pixels wide, and 20 pixels are one unit high.
    (gradient,) = torch.autograd.grad(opened(gap, cover=False).sum(), gap)
    assert gradient.item() == pytest.approx(-20 * 20, rel=1e-3)
    (hidden,) = torch.autograd.grad(opened(gap, cover=True).sum(), gap, allow_unused=True)
    assert hidden is None or hidden.item() == 0


@pytest.mark.parametrize("behind", [0.08, 0.12])
def test_an_edge_behind_another_surface_has_no_say_between_that_and_the_depth_beyond(behind):
    """20 pixels are one unit high: both edges cross between the same two rows of pixel centres, y = 0.075 and 0.125."""
    front, back = torch.tensor(0.1, requires_grad=True), torch.tensor(behind, requires_grad=True)
    points = torch.cat([square(-0.5, 0.5, front, 0.5, 0.5), square(-0.5, 0.5, back, 0.4, 1.0)])
    faces = torch.cat([SQUARE, SQUARE + 4])
    picture = picture_of(points[None], faces, 40)[0]
    assert picture.sum().item() == pytest.approx(20 * 0.4 * 20, rel=1e-4)
    of_front, of_back = torch.autograd.grad(picture.sum(), (front, back), allow_unused=True)
    assert of_front.item() == pytest.approx(-20 * 20, rel=1e-3)
    assert of_back is None or of_back.item() == 0


def test_parts_of_a_mesh():
    vertices, faces = sphere(2)
    shuffled = torch.cat([faces, faces + len(vertices)])[torch.randperm(2 * len(faces))]
    edges = mesh_edges(shuffled)
    assert edges.num_parts == 2
    assert ((shuffled[:, 0] >= len(vertices)) == (edges.part_of_face == 1)).all()
    assert mesh_edges(faces).num_parts == 1


def test_pictures_of_nothing_and_of_broken_points_stay_finite():
    vertices, faces = sphere(1)
    points = seen_from_front(vertices)[None].clone()
    points[0, 0] = math.nan
    points.requires_grad_()
    picture = picture_of(points, faces, 24)
    assert torch.isfinite(picture).all()
    picture.sum().backward()
    assert torch.isfinite(points.grad).all()
    assert picture_of(points.detach() + 5, faces, 24).sum() == 0


def test_a_batch_equals_its_frames_one_by_one():
    vertices, faces = sphere(2)
    frames = torch.stack([seen_from_front(vertices * s) for s in (0.5, 0.77)])
    both = picture_of(frames, faces, 32, perspective=True)
    for k in range(2):
        assert torch.equal(both[k], picture_of(frames[k : k + 1], faces, 32, perspective=True)[0])
