"""Crops of the mouth: what they show, that looks do what they say, and gradients against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import LinearHead, build_head, embedded_head
from stages.rendering.antialiasing import mesh_edges
from stages.rendering.mouth_crops import (
    CROP_PIXELS,
    MouthScene,
    draw_mouths,
    film_mouth,
    mouth_scene,
    plain_looks,
    varied_looks,
)
from stages.runtime.errors import ThunderError
from tests.builders import small_head


@pytest.fixture(scope="module")
def mannequin() -> tuple[LinearHead, MouthScene]:
    record = embedded_head()
    head = build_head(record)
    assert isinstance(head, LinearHead)
    return head, mouth_scene(record)


def face(**curves: float) -> torch.Tensor:
    motion = torch.zeros(1, len(ARKIT_FEATURES))
    for name, value in curves.items():
        motion[0, ARKIT_FEATURES.index(name)] = value
    return motion


def draw(mannequin: tuple[LinearHead, MouthScene], motion: torch.Tensor) -> torch.Tensor:
    head, scene = mannequin
    return draw_mouths(scene, head.vertices(motion, indices=scene.vertices, pose=False))[0]


def test_a_mouth_in_the_middle_that_shows_its_dark_inside_when_it_opens(
    mannequin: tuple[LinearHead, MouthScene],
) -> None:
    shut, ajar, wide = (draw(mannequin, face(jawOpen=x))[0] for x in (0.0, 0.3, 0.8))
    assert shut.shape == (CROP_PIXELS, CROP_PIXELS)
    assert float(shut.min()) >= 0
    assert float(shut.max()) <= 1
    dark = [int((crop[36:80, 36:60] < 0.25).sum()) for crop in (shut, ajar, wide)]
    assert dark[0] < 20 < dark[1] < dark[2]
    # Head rotation is no part of a crop.
    assert torch.equal(draw(mannequin, face(headYaw=0.3))[0], shut)


def test_the_whole_head_looks_the_same(mannequin: tuple[LinearHead, MouthScene]) -> None:
    """What is left out, backs and what is far from the mouth, would not be in the picture."""
    head, _ = mannequin
    whole = replace(
        mouth_scene(head.record),
        vertices=torch.arange(len(head.template)),
        faces=torch.from_numpy(head.record.faces).long(),
    )
    colours = torch.from_numpy(head.record.arrays["colours"]).float() @ torch.tensor((0.2126, 0.7152, 0.0722))
    whole = replace(whole, edges=mesh_edges(whole.faces), albedo=colours)
    motion = face(jawOpen=0.4)
    expected = draw_mouths(whole, head.vertices(motion, pose=False))[0]
    difference = (draw(mannequin, motion) - expected).abs()
    assert float(difference.mean()) < 1e-3


def test_looks_move_turn_and_light_a_crop(mannequin: tuple[LinearHead, MouthScene]) -> None:
    head, scene = mannequin
    vertices = head.vertices(face(jawOpen=0.2), indices=scene.vertices, pose=False)
    plain = draw_mouths(scene, vertices, plain_looks(1))[0][0]
    aside = replace(plain_looks(1), shift=torch.tensor([[4 * 2 / CROP_PIXELS, 0.0]]))
    moved = draw_mouths(scene, vertices, aside)[0][0]
    torch.testing.assert_close(moved[:, 8:-8], plain[:, 4:-12], atol=2e-2, rtol=0)
    brighter = replace(plain_looks(1), ambient=torch.tensor([0.5]))
    assert float(draw_mouths(scene, vertices, brighter)[0].mean()) > float(plain.mean()) + 0.05
    generator = torch.Generator().manual_seed(0)
    varied = draw_mouths(scene, vertices.expand(6, -1, -1), varied_looks(6, generator))[0]
    assert float(varied.flatten(1).std(0).mean()) > 0.03
    again = draw_mouths(scene, vertices.expand(6, -1, -1), varied_looks(6, torch.Generator().manual_seed(0)))[0]
    assert torch.equal(varied, again)


@pytest.mark.parametrize(("kind", "tolerance"), [("opening", 0.1), ("place", 0.25), ("rotation", 0.1)])
def test_gradients_agree_with_finite_differences(kind: str, tolerance: float) -> None:
    """A smooth measure of the picture, which shading, barycentrics and silhouettes all have a part in.

    Its slopes, averaged over a range, are its gain over that range. Teeth and tongue are taken out: a strip of them
    thinner than a pixel is seen or not seen, and the gradient is blind to that.
    """
    record = embedded_head()
    inside = np.union1d(record.regions["teeth"], record.regions["tongue"])
    record = replace(record, faces=record.faces[~np.isin(record.faces, inside).any(1)])
    head, scene = build_head(record), mouth_scene(record)
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, CROP_PIXELS)] * 2, indexing="ij")
    weight = torch.exp(-((rows + 0.2) ** 2) * 8 - (columns - 0.1) ** 2 * 4)

    def measure(amount: torch.Tensor) -> torch.Tensor:
        """Of a batch of amounts (n,): (n,)."""
        opening = amount if kind == "opening" else torch.zeros_like(amount)
        motion = face(jawOpen=0.3) + opening[:, None] * face(jawOpen=1.0)
        vertices = head.vertices(motion, indices=scene.vertices, pose=False)
        looks = plain_looks(len(amount))
        if kind == "place":
            vertices = vertices + 0.01 * amount[:, None, None] * torch.tensor([0.0, 1.0, 0.0])
        if kind == "rotation":
            looks = replace(looks, turn=amount[:, None] * torch.tensor([1.0, 0.5, 0.2]))
        return (draw_mouths(scene, vertices, looks)[0] * weight).sum((1, 2))

    amounts = torch.linspace(-0.1, 0.1, 9, requires_grad=True)
    values = measure(amounts)
    (slopes,) = torch.autograd.grad(values.sum(), amounts)
    gained = float((values[-1] - values[0]).detach()) / 0.2
    assert abs(gained) > 10
    assert float(torch.trapezoid(slopes, amounts.detach())) / 0.2 == pytest.approx(gained, rel=tolerance)


@pytest.mark.parametrize("ajar", [0.15, 0.3])
def test_lips_that_part_before_teeth_and_tongue(mannequin: tuple[LinearHead, MouthScene], ajar: float) -> None:
    """As above with all of the mouth's inside: outlines of teeth and tongue that lips hide must not count as the lips' own."""
    head, scene = mannequin
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, CROP_PIXELS)] * 2, indexing="ij")
    weight = torch.exp(-((rows + 0.2) ** 2) * 8 - (columns - 0.1) ** 2 * 4)
    amounts = torch.linspace(-0.1, 0.1, 21, requires_grad=True)
    motion = face(jawOpen=ajar) + amounts[:, None] * face(jawOpen=1.0)
    vertices = head.vertices(motion, indices=scene.vertices, pose=False)
    values = (draw_mouths(scene, vertices)[0] * weight).sum((1, 2))
    (slopes,) = torch.autograd.grad(values.sum(), amounts)
    gained = float((values[-1] - values[0]).detach()) / 0.2
    assert float(torch.trapezoid(slopes, amounts.detach())) / 0.2 == pytest.approx(gained, rel=0.04)


def test_a_film_is_the_crops_as_bytes() -> None:
    record = small_head()
    head, scene = build_head(record), mouth_scene(record)
    motion = 0.2 * torch.rand(35, len(record.features), generator=torch.Generator().manual_seed(0))
    template = torch.from_numpy(record.template)
    film = film_mouth(scene, head, motion, template)
    assert film.shape == (35, CROP_PIXELS, CROP_PIXELS)
    crops, coverage = draw_mouths(scene, head.vertices(motion, indices=scene.vertices, pose=False))
    assert torch.equal(film, (crops * 255).round().to(torch.uint8))
    assert float(coverage.min()) > 0.5
    with pytest.raises(ThunderError, match="shows no mouth"):
        film_mouth(scene, head, motion, template + 1.0)
    with pytest.raises(ThunderError, match="shows no mouth"):
        film_mouth(scene, head, motion * torch.nan, template)


def test_heads_without_a_mouth_are_refused() -> None:
    record = small_head()
    empty = replace(record, regions=record.regions | {"lips": np.zeros(0, "i4")})
    with pytest.raises(ThunderError, match="region 'lips'"):
        mouth_scene(empty)
    narrow = replace(record, landmarks=record.landmarks | {"mouth_left": record.landmarks["mouth_right"]})
    with pytest.raises(ThunderError, match="mouth corners are one point"):
        mouth_scene(narrow)
