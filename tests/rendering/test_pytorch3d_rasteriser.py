"""PyTorch3D behind the same function: what it sees, its gradients, and finished pictures, beside those of our rasteriser.

Where it is not installed, a stand-in does what its documentation says, and so holds us to its conventions: which way axes
and corners run, what reaches from -1 to 1, how faces are counted.
"""

import math
from dataclasses import replace

import pytest
import torch

from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import build_head, embedded_head
from stages.rendering.backends import rasteriser_of
from stages.rendering.camera import portrait_camera
from stages.rendering.mouth_crops import draw_mouths, mouth_scene
from stages.rendering.pytorch3d_rasteriser import rasterise_by_pytorch3d
from stages.rendering.rasteriser import Fragments, interpolate, rasterise
from stages.rendering.scene import head_scene
from stages.rendering.shading import display
from stages.runtime.errors import ThunderError
from tests.rendering import pytorch3d_stand_in
from tests.rendering.meshes import seen_from_front, sphere


def has_pytorch3d() -> bool:
    try:
        rasteriser_of("pytorch3d")
    except ThunderError:
        return False
    return True


needs_pytorch3d = pytest.mark.skipif(not has_pytorch3d(), reason="PyTorch3D is not installed")


@pytest.fixture(params=["documented", pytest.param("real", marks=needs_pytorch3d)])
def _pytorch3d(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "documented":
        pytorch3d_stand_in.install(monkeypatch)


def random_faces(seed: int, num_faces: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Screen points (2, 40, 3), and faces (F, 3) some of which are degenerate."""
    dice = torch.Generator().manual_seed(seed)
    points = torch.rand(2, 40, 3, generator=dice) * torch.tensor([2.6, 2.6, 2.0]) + torch.tensor([-1.3, -1.3, 1.0])
    return points, torch.randint(0, 40, (num_faces, 3), generator=dice)


def barycentrics(fragments: Fragments) -> torch.Tensor:
    return fragments.picture(fragments.barycentrics, torch.full((3,), torch.nan))


def depths(fragments: Fragments) -> torch.Tensor:
    return fragments.picture(fragments.depth, torch.tensor(torch.nan))


@pytest.mark.usefixtures("_pytorch3d")
@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize(("height", "width"), [(20, 28), (28, 20)])
@pytest.mark.parametrize("cull_back", [True, False])
def test_sees_what_ours_sees(perspective: bool, height: int, width: int, cull_back: bool) -> None:
    points, faces = random_faces(0)
    if not perspective:
        points = points - torch.tensor([0.0, 0.0, 4.0])  # orthographic depth may be below zero
    ours, theirs = (
        draw(points, faces, height, width, perspective=perspective, cull_back=cull_back)
        for draw in (rasterise, rasterise_by_pytorch3d)
    )
    same = ours.face_index == theirs.face_index
    assert same.float().mean() > 0.995
    assert (ours.face_index >= 0).float().mean() > 0.5
    assert torch.equal(torch.isfinite(theirs.nearness), theirs.face_index >= 0)
    assert theirs.pair_face.max() < len(faces)
    both = same & (ours.face_index >= 0)
    torch.testing.assert_close(barycentrics(theirs)[both], barycentrics(ours)[both], atol=1e-3, rtol=0)
    torch.testing.assert_close(depths(theirs)[both], depths(ours)[both], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(theirs.nearness[both], ours.nearness[both], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(theirs.coverage(), ours.coverage(), atol=0.005, rtol=0)


@pytest.mark.usefixtures("_pytorch3d")
@pytest.mark.parametrize("perspective", [True, False])
def test_gradients_are_those_of_ours(perspective: bool) -> None:
    vertices, faces = sphere(1)
    turned = vertices @ torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0].T
    colours = torch.rand(1, len(vertices), 2, generator=torch.Generator().manual_seed(1))
    gradients = []
    for draw in (rasterise, rasterise_by_pytorch3d):
        points = torch.stack([seen_from_front(s * turned) for s in (0.9, 0.6)]).requires_grad_()
        found = draw(points, faces, 24, 32, perspective=perspective)
        values = interpolate(colours.expand(2, -1, -1), faces, found)
        pictures = found.picture(torch.cat([values, found.depth[:, None]], 1), torch.zeros(3))
        weight = torch.rand(pictures.shape, generator=torch.Generator().manual_seed(2))
        gradients.append(torch.autograd.grad((pictures * weight).sum(), points)[0])
    assert gradients[0].abs().max() > 1
    cosine = torch.nn.functional.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0)
    assert cosine > 0.99999
    torch.testing.assert_close(gradients[1], gradients[0], atol=2e-3, rtol=1e-2)


@pytest.mark.usefixtures("_pytorch3d")
def test_pixel_centres_on_an_edge_are_no_holes() -> None:
    """All centres of the diagonal lie on the edge that two faces share."""
    points = torch.tensor([[[-0.5, -0.5, 1.0], [0.5, -0.5, 1.0], [0.5, 0.5, 1.0], [-0.5, 0.5, 1.0]]])
    found = rasterise_by_pytorch3d(points, torch.tensor([[0, 1, 2], [0, 2, 3]]), 16, 16)
    assert (found.face_index[0, 4:12, 4:12] >= 0).all()
    assert found.coverage().item() == 0.25
    torch.testing.assert_close(found.barycentrics.sum(1), torch.ones(64))


@pytest.mark.usefixtures("_pytorch3d")
@pytest.mark.parametrize(
    "corner", [[0.0, 0.0, math.nan], [math.inf, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 1e-4]]
)
def test_unusable_faces_are_left_out_and_spoil_nothing(corner: list[float]) -> None:
    good = [[-1.0, -1.0, 1.0], [0.9, -1.0, 1.0], [-1.0, 0.9, 1.0]]  # no pixel centre on an edge
    for first in (False, True):
        points = torch.tensor([[corner, *good] if first else [*good, corner]], requires_grad=True)
        faces = torch.tensor([[0, 1, 2], [1, 2, 3]]) if first else torch.tensor([[0, 1, 3], [0, 1, 2]])
        found = rasterise_by_pytorch3d(points, faces, 8, 8)
        assert torch.equal(found.face_index, rasterise(points, faces, 8, 8).face_index)
        assert set(found.face.tolist()) == {1}
        found.depth.sum().backward()
        assert points.grad is not None
        assert torch.isfinite(points.grad).all()


@pytest.mark.usefixtures("_pytorch3d")
def test_a_mesh_beside_the_picture_covers_nothing() -> None:
    vertices, faces = sphere(1)
    found = rasterise_by_pytorch3d(seen_from_front(vertices + torch.tensor([3.0, 0.0, 0.0]))[None], faces, 16, 16)
    assert found.coverage().item() == 0
    assert interpolate(vertices, faces, found).shape == (0, 3)


@needs_pytorch3d
@pytest.mark.parametrize("perspective", [True, False])
def test_the_documented_stand_in_does_as_the_real_one_does(perspective: bool) -> None:
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    points, faces = random_faces(3)
    options = {
        "image_size": (20, 28), "blur_radius": 1e-13, "faces_per_pixel": 1, "max_faces_per_bin": 60,
        "perspective_correct": perspective, "clip_barycentric_coords": True, "cull_backfaces": False,
    }  # fmt: skip
    faces = faces.expand(2, -1, -1)
    real = rasterize_meshes(Meshes(points, faces), **options)
    documented = pytorch3d_stand_in.rasterize_meshes(pytorch3d_stand_in.Meshes(points, faces), **options)
    same = real[0] == documented[0]
    assert same.float().mean() > 0.998
    assert (real[0] >= 0).float().mean() > 0.5
    for theirs, ours in zip(real[1:], documented[1:], strict=True):
        torch.testing.assert_close(theirs[same], ours[same], atol=1e-3, rtol=1e-3)


def speaking() -> torch.Tensor:
    """Three frames (3, D): at rest, half open, and wide with a smile and turned."""
    motion = torch.zeros(3, len(ARKIT_FEATURES))
    for frame, curves in enumerate(({}, {"jawOpen": 0.3}, {"jawOpen": 0.7, "mouthSmileLeft": 0.6, "headYaw": 0.3})):
        for name, value in curves.items():
            motion[frame, ARKIT_FEATURES.index(name)] = value
    return motion


@needs_pytorch3d
def test_a_head_looks_the_same() -> None:
    """The tolerance that `pytorch3d_rasteriser.py` and the README state, of pictures of the built-in head."""
    record = embedded_head()
    head = build_head(record)
    template = torch.from_numpy(record.template)
    camera = portrait_camera(template, 4 / 5, chin=template[record.landmarks["chin"]])
    scene = head_scene(record, camera, 100, 80)
    vertices = head.vertices(speaking())
    points = camera.project(vertices)
    seen = [draw(points, scene.faces, 100, 80) for draw in (rasterise, rasterise_by_pytorch3d)]
    covered = [fragments.face_index >= 0 for fragments in seen]
    assert (covered[0] & covered[1]).sum() >= 0.999 * (covered[0] | covered[1]).sum()
    same = covered[0] & (seen[0].face_index == seen[1].face_index)
    assert same.sum() >= 0.99 * covered[0].sum()
    assert ((depths(seen[1]) / depths(seen[0]) - 1)[same]).abs().max() < 1e-5
    assert (barycentrics(seen[1]) - barycentrics(seen[0]))[same].abs().max() < 0.005
    ours, theirs = (display(replace(scene, backend=b).render(vertices)[0]) for b in ("torch", "pytorch3d"))
    assert ours.std() > 0.1
    assert (ours - theirs).abs().mean() < 0.1 / 255
    assert ((ours - theirs).abs().amax(-1) > 4 / 255).float().mean() < 0.001


@needs_pytorch3d
def test_crops_of_the_mouth_and_their_gradients_are_the_same() -> None:
    record = embedded_head()
    head = build_head(record)
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, 96)] * 2, indexing="ij")
    weight = torch.exp(-((rows + 0.2) ** 2) * 8 - (columns - 0.1) ** 2 * 4)
    crops, gradients = [], []
    for backend in ("torch", "pytorch3d"):
        scene = mouth_scene(record, backend=backend)
        vertices = head.vertices(speaking(), indices=scene.vertices, pose=False).requires_grad_()
        drawn, coverage = draw_mouths(scene, vertices)
        crops.append(drawn.detach())
        gradients.append(torch.autograd.grad((drawn * weight).sum(), vertices)[0].flatten())
        assert coverage.min() > 0.9
    assert (crops[0] - crops[1]).abs().mean() < 0.1 / 255
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999
