"""Films of mouths: their clock, their light, and meshes that show nothing."""

from dataclasses import replace

import pytest
import torch

from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import build_head
from stages.metrics.faces import Face
from stages.rendering.lip_films import film_face
from stages.rendering.mouth_crops import film_mouth, mouth_scene
from stages.runtime.errors import ThunderError
from tests.builders import small_head, small_motion

HEAD = build_head(small_head())
SCENE = mouth_scene(small_head())
TEMPLATE = torch.from_numpy(small_head().template)


def face(num_frames: int) -> Face:
    return Face(HEAD, torch.from_numpy(small_motion(num_frames)), TEMPLATE)


def test_a_film_is_what_a_reader_was_trained_on() -> None:
    moving = face(20)
    film = film_face(SCENE, moving, 25.0)
    wanted = film_mouth(SCENE, HEAD, moving.motion, TEMPLATE).float() / 255
    torch.testing.assert_close(film, wanted, atol=1e-6, rtol=0)


def test_recorded_vertices_and_motion_of_the_same_shapes_look_the_same_at_any_rate() -> None:
    moving = face(61)
    exact = HEAD.vertices(moving.motion, template=TEMPLATE, pose=False)
    film = film_face(SCENE, moving, 60.0)
    assert film.shape == (26, 96, 96)
    recorded = film_face(SCENE, replace(moving, exact=exact, motion=0 * moving.motion), 60.0)
    assert (film - recorded).abs().max() < 1.5 / 255


def test_a_mouth_opens_in_the_film_when_it_opens_in_the_motion() -> None:
    """At 30 fps from frame 15, at 25 fps from 12.5: frame 13 is the first that is open."""
    motion = torch.zeros(45, len(ARKIT_FEATURES))
    motion[15:, ARKIT_FEATURES.index("jawOpen")] = 1.0
    film = film_face(SCENE, Face(HEAD, motion, TEMPLATE), 30.0)
    change = (film[1:] - film[:-1]).abs().mean((1, 2))
    assert (change > 1e-3).nonzero().flatten().tolist() == [11, 12]  # frame 12 stands between 14 and 15


@pytest.mark.parametrize("scale", [0.0, float("nan"), 1e6])
def test_a_mesh_that_shows_nothing_is_refused(scale: float) -> None:
    moving = face(20)
    exact = HEAD.vertices(moving.motion, template=TEMPLATE, pose=False).clone()
    exact[10:] = (exact[10:] + 1) * scale
    with pytest.raises(ThunderError, match=r"shows no mouth at 0.(36|40) s"):
        film_face(SCENE, replace(moving, exact=exact), 25.0)
