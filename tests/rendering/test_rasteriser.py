import math

import numpy as np
import pytest
import torch

from stages.rendering import rasteriser
from stages.rendering.rasteriser import interpolate, rasterise
from tests.rendering.meshes import seen_from_front, sphere

# One face that fills the lower left half of the picture, and one behind it that fills all of it.
NEAR_FACE = [[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]]
FAR_FACE = [[-3.0, -3.0, 2.0], [9.0, -3.0, 2.0], [-3.0, 9.0, 2.0]]


def naive(points, faces, height, width, perspective):
    """One pixel and one face at a time, in float64; also how clear each decision was."""
    x, y = (points[:, 0] + 1) * width / 2, (1 - points[:, 1]) * height / 2
    z = points[:, 2]
    index = np.full((height, width), -1)
    barycentrics, depth = np.zeros((height, width, 3)), np.full((height, width), np.inf)
    margin = np.full((height, width), np.inf)
    for row in range(height):
        for column in range(width):
            for f, (a, b, c) in enumerate(faces):
                area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])
                if area >= 0:  # y points downward: fronts are negative
                    continue
                p, q = column + 0.5, row + 0.5
                w = np.array(
                    [((x[k] - p) * (y[m] - q) - (x[m] - p) * (y[k] - q)) / area for k, m in ((b, c), (c, a), (a, b))]
                )
                margin[row, column] = min(margin[row, column], np.abs(w).min())
                if w.min() < 0:
                    continue
                if perspective:
                    w = w / z[[a, b, c]]
                    w /= w.sum()
                here = (w * z[[a, b, c]]).sum()
                margin[row, column] = min(margin[row, column], abs(here - depth[row, column]))
                if here < depth[row, column]:
                    index[row, column], barycentrics[row, column], depth[row, column] = f, w, here
    return index, barycentrics, depth, margin


@pytest.mark.parametrize("perspective", [True, False])
def test_agrees_with_a_loop_over_pixels_and_faces(perspective):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-1.3, 1.3, (40, 2)), rng.uniform(1, 3, (40, 1))], 1)
    faces = rng.integers(0, 40, (60, 3))
    index, barycentrics, depth, margin = naive(points, faces, 20, 28, perspective)
    found = rasterise(
        torch.tensor(points, dtype=torch.float32)[None], torch.tensor(faces), 20, 28, perspective=perspective
    )
    clear = margin > 1e-4
    assert clear.mean() > 0.95
    assert (index[clear] >= 0).mean() > 0.5
    assert len(np.unique(index)) > 10
    assert np.array_equal(found.face_index[0].numpy()[clear], index[clear])
    covered = torch.from_numpy(clear & (index >= 0))
    weights = found.picture(found.barycentrics, torch.zeros(3))[0][covered]
    np.testing.assert_allclose(weights, barycentrics[covered.numpy()], atol=2e-4)
    np.testing.assert_allclose(
        found.picture(found.depth, torch.zeros(()))[0][covered], depth[covered.numpy()], rtol=1e-4
    )
    nearness = 1 / depth if perspective else -depth
    np.testing.assert_allclose(found.nearness[0][covered], nearness[covered.numpy()], rtol=1e-4)


def test_the_nearer_face_is_seen_whichever_comes_first():
    points = torch.tensor([NEAR_FACE + FAR_FACE])
    for faces, near in (([[0, 1, 2], [3, 4, 5]], 0), ([[3, 4, 5], [0, 1, 2]], 1)):
        index = rasterise(points, torch.tensor(faces), 8, 8).face_index[0]
        assert (index[7, :7] == near).all()  # the last pixel of the row lies on the diagonal
        assert (index[0, 1:] == 1 - near).all()


def test_backs_are_culled_unless_asked_for():
    points, reversed_face = torch.tensor([NEAR_FACE]), torch.tensor([[0, 2, 1]])
    assert rasterise(points, reversed_face, 8, 8).pixel.numel() == 0
    both = rasterise(points, reversed_face, 8, 8, cull_back=False)
    assert torch.equal(both.pixel, rasterise(points, torch.tensor([[0, 1, 2]]), 8, 8).pixel)
    assert both.barycentrics.min() >= 0


@pytest.mark.parametrize("size", [31, 64, 200])
def test_a_sphere_has_no_holes_and_no_pixel_twice(size):
    vertices, faces = sphere()
    fragments = rasterise(seen_from_front(0.8 * vertices)[None], faces, size, size, perspective=False)
    covered = fragments.face_index[0] >= 0
    for row in covered:
        columns = row.nonzero()
        if len(columns):
            assert row[columns[0] : columns[-1] + 1].all()
    assert covered.float().mean() == pytest.approx(math.pi * 0.64 / 4, rel=0.02)


def test_two_faces_that_share_an_edge_share_out_its_pixels(monkeypatch):
    """Counts how often each pixel is listed: a fan of thin faces round a point must cover each exactly once."""
    rng = np.random.default_rng(1)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 97))
    rim = np.stack([3 * np.cos(angle), 3 * np.sin(angle), np.ones(97)], 1)
    points = torch.tensor(np.concatenate([[[0.013, -0.021, 1.0]], rim]), dtype=torch.float32)
    faces = torch.tensor([[0, 1 + k, 1 + (k + 1) % 97] for k in range(97)])
    table = rasteriser._face_table(points[None], faces, (1, 50, 50), perspective=True, cull_back=True, near=1e-3)
    start, count, *_ = rasteriser._spans(table, slice(0, len(table.key)), 50)
    owner, step = rasteriser.expand(count)
    times = torch.bincount(start[owner] + step, minlength=2500)
    assert (times == 1).all()


def test_interpolates_a_hand_worked_value():
    """Half-way in the picture between depths 1 and 3, perspective has gone a quarter of the way."""
    points = torch.tensor([[[-1.0, -1.0, 1.0], [3.0, -1.0, 3.0], [-1.0, 3.0, 1.0]]])
    faces = torch.tensor([[0, 1, 2]])
    values = torch.tensor([[0.0], [8.0], [0.0]])
    for perspective, middle in ((True, 8 * (0.25 / 3) / (0.25 / 3 + 0.75)), (False, 2.0)):
        fragments = rasterise(points, faces, 1, 1, perspective=perspective)
        assert interpolate(values, faces, fragments).item() == pytest.approx(middle, rel=1e-5)
        assert interpolate(values[None], faces, fragments).item() == pytest.approx(middle, rel=1e-5)
    assert rasterise(points, faces, 1, 1).depth.item() == pytest.approx(1 / (0.75 + 0.25 / 3), rel=1e-5)


def test_a_batch_equals_its_frames_one_by_one():
    vertices, faces = sphere(2)
    frames = torch.stack(
        [seen_from_front(vertices * s + torch.tensor([m, 0.0, 0.0])) for s, m in ((0.5, 0.3), (0.9, -0.6))]
    )
    both = rasterise(frames, faces, 33, 47)
    colours = torch.rand(2, len(vertices), 2)
    picture = both.picture(interpolate(colours, faces, both), torch.zeros(2))
    for k in range(2):
        alone = rasterise(frames[k : k + 1], faces, 33, 47)
        assert torch.equal(both.face_index[k], alone.face_index[0])
        assert torch.equal(picture[k], alone.picture(interpolate(colours[k], faces, alone), torch.zeros(2))[0])
        assert both.coverage()[k] == alone.coverage()[0]


def test_small_pieces_give_the_same_picture(monkeypatch):
    vertices, faces = sphere(2)
    points = seen_from_front(vertices)[None]
    whole = rasterise(points, faces, 40, 40)
    monkeypatch.setitem(rasteriser.PIXELS_AT_ONCE, "cpu", 37)
    pieces = rasterise(points, faces, 40, 40)
    assert torch.equal(whole.face_index, pieces.face_index)
    assert torch.equal(whole.nearness, pieces.nearness)


@pytest.mark.parametrize(
    "corner",
    [
        [0.0, 0.0, math.nan],
        [math.inf, 0.0, 1.0],
        [0.0, 0.0, 0.0],  # in the lens
        [0.0, 0.0, -1.0],  # behind the camera
        [-1.0, -1.0, 1.0],  # makes the face a line
    ],
)
def test_unusable_faces_are_left_out_and_spoil_nothing(corner):
    points = torch.tensor([[*NEAR_FACE, corner]], requires_grad=True)
    good = rasterise(points[:, :3], torch.tensor([[0, 1, 2]]), 8, 8)
    both = rasterise(points, torch.tensor([[0, 1, 2], [0, 1, 3]]), 8, 8)
    assert torch.equal(good.face_index, both.face_index)
    both.depth.sum().backward()
    assert torch.isfinite(points.grad).all()


def test_a_mesh_beside_the_picture_covers_nothing():
    vertices, faces = sphere(1)
    for shift in ([3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, -3.0, 0.0]):
        fragments = rasterise(seen_from_front(vertices + torch.tensor(shift))[None], faces, 16, 16)
        assert fragments.coverage().item() == 0
        assert interpolate(vertices, faces, fragments).shape == (0, 3)
        assert (fragments.picture(fragments.depth, torch.tensor(7.0)) == 7).all()


@pytest.mark.parametrize("perspective", [True, False])
def test_gradients_of_depth_and_attributes_agree_with_finite_differences(perspective):
    torch.manual_seed(0)
    vertices, faces = sphere(1)
    points = seen_from_front(0.9 * vertices)[None].double()
    colours = torch.rand(1, len(vertices), 2, dtype=torch.float64)
    pixels = rasterise(points, faces, 12, 12, perspective=perspective)
    weight = torch.rand(len(pixels.pixel), 3, dtype=torch.float64)

    def total(points):
        # What is seen is held: it jumps where an outline passes a pixel centre.
        x, y = rasteriser.pixel_coordinates(points, 12, 12)
        corners = (faces[pixels.pair_face] + (pixels.pair_frame * points.shape[1])[:, None]).flatten()
        table = torch.stack([v.reshape(-1)[corners] for v in (x, y, points[..., 2])]).reshape(3, -1, 3)
        row, column = pixels.pixel // 12, pixels.pixel % 12
        barycentrics, depth = rasteriser._locate(table, pixels.pair, column + 0.5, row + 0.5, perspective=perspective)
        values = (colours[0][faces[pixels.face]] * barycentrics[..., None]).sum(1)
        return (torch.cat([values, depth[:, None]], 1) * weight).sum()

    assert torch.autograd.gradcheck(total, points.clone().requires_grad_(), eps=1e-7, atol=1e-5)
    points.requires_grad_()
    found = rasterise(points, faces, 12, 12, perspective=perspective)
    assert torch.equal(found.pixel, pixels.pixel)
    values = interpolate(colours, faces, found)
    through = (torch.cat([values, found.depth[:, None]], 1) * weight).sum()
    torch.testing.assert_close(*torch.autograd.grad(through, points), *torch.autograd.grad(total(points), points))
