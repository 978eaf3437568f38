"""Augmented faces: what is drawn stays within what was asked for, and motion and speech stay together."""

import torch

from stages.training.face_augmentation import add_noise, hide_for_a_moment, jitter_features, turn_face, vary_speed
from stages.training.windows import WindowShape, draw_windows
from tests.training.clips import clock_clip

FPS = 25.0


def test_motion_and_speech_keep_the_same_clock_at_any_speed() -> None:
    torch.manual_seed(0)
    batch = draw_windows([clock_clip(200, FPS)], WindowShape(110, FPS), 32, torch.Generator().manual_seed(0))
    varied = vary_speed(batch, 100, 400, 0.1)
    assert varied.motion.shape[1] == varied.mask.shape[1] == 100
    assert varied.log_mel.shape[1] == varied.mel_mask.shape[1] == 400
    began = batch.motion[:, 0, 0]
    rate = (varied.motion[:, -1, 0] - began) / (99 / FPS)
    assert 0.9 <= rate.min() < 0.95
    assert 1.05 < rate.max() <= 1.1
    # Motion, mel and units of the clock tell the same time, wherever it runs to.
    torch.testing.assert_close(varied.log_mel[:, ::4, 0], varied.motion[..., 0], atol=1e-4, rtol=0)
    told = varied.units / 50 - varied.log_mel[:, ::2, 0]
    assert told.abs().max() <= 0.0101
    still = vary_speed(batch, 100, 400, 0.0)
    torch.testing.assert_close(still.motion, batch.motion[:, :100])
    assert torch.equal(still.units, batch.units[:, :200])


def test_noise_has_the_deviation_asked_for_and_differs_between_frames() -> None:
    torch.manual_seed(0)
    scale = torch.tensor([0.1, 2.0, 0.0])
    noise = add_noise(torch.zeros(16, 200, 3), scale, 0.5)
    torch.testing.assert_close(noise.flatten(0, 1).std(0), 0.5 * scale, atol=0.02, rtol=0.25)
    assert not torch.equal(noise[0, 0], noise[0, 1])
    jitter = jitter_features(torch.zeros(16, 200, 3), scale, 0.5)
    torch.testing.assert_close(jitter.flatten(0, 1).std(0), 0.5 * scale, atol=0.01, rtol=0.05)


def test_a_turn_is_rigid_small_and_drifts() -> None:
    torch.manual_seed(0)
    rest = torch.randn(30, 3)
    moved = turn_face(torch.zeros(4, 50, 90), rest, 0.01).unflatten(-1, (30, 3)) + rest
    distances = torch.cdist(moved, moved)
    # To first order in the angle, so that distances change with its square.
    torch.testing.assert_close(distances, torch.cdist(rest, rest).expand_as(distances), atol=0.01, rtol=0)
    shift = (moved - rest).norm(dim=-1)
    assert 0.001 < shift.mean() < 0.1 * rest.norm(dim=-1).max()
    steps = (moved[:, 1:] - moved[:, :-1]).norm(dim=-1)
    assert 0 < steps.max() < 0.1 * shift.max()


def test_a_hidden_stretch_is_one_and_short() -> None:
    torch.manual_seed(0)
    visible = torch.ones(200, 100, 2)
    hidden = hide_for_a_moment(visible, torch.tensor([5.0, 7.0]), FPS, 0.5)
    assert torch.equal(hidden[..., 0] == 5, hidden[..., 1] == 7)
    away = hidden[..., 0] == 5
    assert 0.3 < away.any(1).float().mean() < 0.6
    assert away.sum(1).max() <= 11  # 0.4 s
    edges = (away[:, 1:] != away[:, :-1]).sum(1)
    assert edges.max() <= 2
    assert torch.equal(hide_for_a_moment(visible, torch.zeros(2), FPS, 0.0), visible)
