"""What a lip reader says of moving lips: values by hand, gradients through the pictures, padding, rates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import LinearHead, build_head, embedded_head
from stages.losses.lip_reading import LipReadingLoss, lip_reading, lip_vertices
from stages.models.lip_reader import LipReader, LipReaderConfig
from stages.rendering.mouth_crops import MouthScene, draw_mouths, mouth_scene
from stages.runtime.errors import ThunderError


class BroadPatches(torch.nn.Module):
    """Eyes that see the brightness of 16 broad patches."""

    def forward(self, crops: Tensor, mask: Tensor) -> Tensor:
        del mask
        return torch.nn.functional.avg_pool2d(crops, 22).flatten(2).repeat(1, 1, 18)


def tiny(max_frames: int = 50) -> LipReader:
    torch.manual_seed(0)
    config = LipReaderConfig(
        characters=" abc", form="light", channels=4, dim=16, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
        fusion_dim=32, dropout=0.0, max_frames=max_frames,
    )  # fmt: skip
    return LipReader(config).eval().requires_grad_(False)


def mouth() -> tuple[LinearHead, MouthScene]:
    """The mannequin without what its lips pass through, where a picture has no gradient."""
    record = embedded_head()
    inside = np.union1d(record.regions["teeth"], record.regions["tongue"])
    record = replace(record, faces=record.faces[~np.isin(record.faces, inside).any(1)])
    head = build_head(record)
    assert isinstance(head, LinearHead)
    return head, mouth_scene(record)


def mean_picture(vertices: Tensor) -> Tensor:
    """A drawing that needs no mesh: a crop is as bright as the vertices are high, and brighter on its right."""
    return vertices.mean((1, 2))[:, None, None] + torch.linspace(0.5, 1.5, 96).expand(96, 96)


TEXT = torch.tensor([[2, 3]])
TWO = torch.tensor([2])


def test_the_gradient_reaches_the_vertices_and_is_that_of_finite_differences() -> None:
    head, scene = mouth()
    reader = tiny()
    # Single pixels at an edge say little of how far a mouth is open.
    reader.eyes = BroadPatches()  # type: ignore[assignment]
    opening = torch.tensor([0.1, 0.3, 0.4, 0.2])
    kept: list[Tensor] = []

    def loss(amount: Tensor) -> Tensor:
        motion = torch.zeros(1, 4, len(ARKIT_FEATURES))
        motion[..., ARKIT_FEATURES.index("jawOpen")] = 1.0
        vertices = head.vertices(motion * (opening * (1 + amount))[:, None], indices=scene.vertices, pose=False)
        if vertices.requires_grad:
            vertices.retain_grad()
            kept.append(vertices)
        read = lip_reading(reader, lambda v: draw_mouths(scene, v)[0], vertices, 25.0, labels=TEXT, num_labels=TWO)
        return read.total()[0]

    amounts = torch.linspace(-0.5, 0.5, 9)
    slopes = []
    for value in amounts:
        amount = value.clone().requires_grad_()
        loss(amount).backward()
        assert amount.grad is not None
        slopes.append(amount.grad)
    with torch.no_grad():
        gained = float(loss(amounts[-1]) - loss(amounts[0]))
    assert abs(gained) > 1e-3
    assert float(torch.trapezoid(torch.stack(slopes), amounts)) == pytest.approx(gained, rel=0.2)
    gradient = kept[0].grad
    assert gradient is not None
    assert bool(torch.isfinite(gradient).all())
    # Every frame, in the plane of the picture as well as towards the viewer, where shading alone feels it.
    assert bool((gradient.abs().sum((0, 2)) > 0).all())
    assert all(p.grad is None for p in reader.parameters())


def test_by_hand() -> None:
    """All labels alike: CTC costs what counting paths says, the decoder the logarithm of the number of labels."""
    reader = tiny()
    with torch.no_grad():
        for head in (reader.to_labels, reader.decoder.to_labels):
            head.weight.zero_()
            head.bias.zero_()
    read = lip_reading(reader, mean_picture, torch.zeros(1, 2, 3, 3), 25.0, labels=TEXT, num_labels=TWO)
    # Two frames, four labels of six kinds: "ab" is spelled by 15 of 6^4 paths (C(4 + 2, 4)).
    torch.testing.assert_close(read.ctc, -torch.tensor([15 / 6**4]).log() / 2)
    torch.testing.assert_close(read.attention, torch.tensor([6.0]).log())
    known = LipReadingLoss(torch.tensor([1.0]), torch.tensor([2.0]))
    torch.testing.assert_close(known.total(), torch.tensor([1.9]))
    torch.testing.assert_close(known.total(ctc_weight=1.0, attention_weight=0.5), torch.tensor([2.0]))


def test_padding_and_rates_make_no_difference() -> None:
    reader = tiny()
    ramp = torch.linspace(0, 1, 13)[None, :, None, None].expand(1, 13, 3, 3)  # half a second at 25 fps
    alone = lip_reading(reader, mean_picture, ramp, 25.0, labels=TEXT, num_labels=TWO)
    padded = torch.cat([ramp, torch.full((1, 4, 3, 3), 7.0)], 1).repeat(2, 1, 1, 1)
    mask = torch.ones(2, 17)
    mask[0, 13:] = 0
    both = lip_reading(
        reader, mean_picture, padded, 25.0, labels=torch.tensor([[2, 3, 0], [4, 2, 3]]),
        num_labels=torch.tensor([2, 3]), mask=mask,
    )  # fmt: skip
    torch.testing.assert_close(both.total()[:1], alone.total(), rtol=1e-4, atol=1e-5)
    faster = torch.linspace(0, 1, 16)[None, :, None, None].expand(1, 16, 3, 3)  # half a second at 30 fps
    again = lip_reading(reader, mean_picture, faster, 30.0, labels=TEXT, num_labels=TWO)
    torch.testing.assert_close(again.total(), alone.total(), rtol=1e-4, atol=1e-5)


def test_sound_is_read_beside_the_lips() -> None:
    reader, vertices = tiny(), torch.rand(1, 4, 3, 3)
    lips = lip_reading(reader, mean_picture, vertices, 25.0, labels=TEXT, num_labels=TWO)
    sound = torch.randn(1, 16, 80)
    both = lip_reading(reader, mean_picture, vertices, 25.0, labels=TEXT, num_labels=TWO, sound=sound)
    assert float((both.total() - lips.total()).abs()) > 1e-4


def test_lip_vertices_by_hand() -> None:
    truth = torch.zeros(1, 2, 4, 3)
    estimate = truth.clone()
    estimate[0, 0, 1] = torch.tensor([1.0, 2.0, 2.0])
    estimate[0, 1, 1] = 100.0  # a frame that is not real
    estimate[0, 0, 3] = 100.0  # not of the lips
    error = lip_vertices(estimate, truth, torch.tensor([0, 1]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(error, torch.tensor([9.0 / 6]))


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ThunderError, match="4 frames at 25 fps is longer than the 3"):
        lip_reading(tiny(max_frames=3), mean_picture, torch.zeros(1, 4, 3, 3), 25.0, labels=TEXT, num_labels=TWO)
    with pytest.raises(ValueError, match="no lips to read"):
        lip_reading(
            tiny(), mean_picture, torch.zeros(1, 4, 3, 3), 25.0, labels=TEXT, num_labels=TWO, mask=torch.zeros(1, 4)
        )
