"""Leading a sample to where its speech is heard: which way, how far, and where it stops."""

from pathlib import Path

import pytest
import torch

from stages.artifacts.clips import open_clips
from stages.audio.log_mel import speech_log_mel
from stages.diffusion.guidance import Heard, Listener, lead
from stages.diffusion.long_motion import SamplingOptions, sample_long_motion
from stages.heads.head import build_head
from stages.models.mesh_to_speech import load_mesh_to_speech
from stages.models.motion_denoiser import MotionDenoiser, load_motion_denoiser
from stages.runtime.errors import ThunderError
from tests.trained import tiny_workspace

OPTIONS = SamplingOptions(num_steps=6)
SEEDS = [0, 1, 2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def denoiser(workspace: Path) -> MotionDenoiser:
    return load_motion_denoiser(workspace / "diffusion.h5")[0]


def listener_of(workspace: Path, weight: float) -> Listener:
    judge, record = load_mesh_to_speech(workspace / "m2s.h5")
    with open_clips(workspace / "dataset.h5") as file:
        waveform = torch.from_numpy(file.read(file.ids("test")[0]).waveform)
    mel = speech_log_mel(waveform)
    return Listener(judge, build_head(record), mel, judge.name_units(waveform, mel), weight)


def test_it_leads_down_the_slope_as_far_as_it_is_told() -> None:
    x_t = torch.randn(2, 5, 3, requires_grad=True)
    x_0 = 0.5 * x_t
    target = torch.zeros(2, 5, 3)
    target[1] = 1000  # gradients of any size count alike
    loss = (x_0 - target).square().sum((1, 2))
    led = lead(x_0, Heard(loss, 1.0), x_t, alpha_bar=0.5, weight=0.1)
    assert not led.requires_grad
    step = led - x_0.detach()
    torch.testing.assert_close(step.square().mean((1, 2)).sqrt(), torch.full((2,), 0.1))
    assert ((led - target).square().sum((1, 2)) < loss).all()
    direction = target - x_0.detach()
    torch.testing.assert_close(
        step / step.norm(dim=(1, 2), keepdim=True), direction / direction.norm(dim=(1, 2), keepdim=True)
    )


@pytest.mark.parametrize(
    ("alpha_bar", "share", "length"), [(0.0, 1, 0.0), (1.0, 1, 0.0), (0.9, 1, 0.06), (0.5, 0.25, 0.05)]
)
def test_steps_are_short_where_nothing_is_known_or_open_and_where_little_is_said(
    alpha_bar: float, share: float, length: float
) -> None:
    x_t = torch.randn(1, 50, 3, requires_grad=True)
    led = lead(1.0 * x_t, Heard(x_t.sum((1, 2)), share), x_t, alpha_bar, 0.1)
    assert float((led - x_t.detach()).square().mean().sqrt()) == pytest.approx(length, abs=1e-6)


def test_a_flat_loss_leads_nowhere() -> None:
    x_t = torch.randn(1, 5, 3, requires_grad=True)
    assert torch.equal(lead(1.0 * x_t, Heard(x_t.sum((1, 2)) * 0, 1.0), x_t, 0.5, 1.0), x_t.detach())


@pytest.mark.parametrize(("slope", "weight"), [(float("nan"), 0.1), (float("inf"), 0.1), (1.0, 50.0)])
def test_divergence_stops(slope: float, weight: float) -> None:
    x_t = torch.randn(1, 5, 3, requires_grad=True)
    with pytest.raises(ThunderError, match=f"--audio-guidance {weight:g} diverged: .* give less"):
        lead(1.0 * x_t, Heard(slope * x_t.square().sum((1, 2)), 1.0), x_t, 0.5, weight)


def test_the_listener_hears_each_stretch_beside_its_own_speech(workspace: Path) -> None:
    listener = listener_of(workspace, 0.1)
    with open_clips(workspace / "dataset.h5") as file:
        motion = torch.from_numpy(file.read(file.ids("test")[0]).motion)[None]
    motion = motion.clone().requires_grad_()
    heard = listener.hear(motion[:, 10:40], 10, 25.0)
    assert heard.share == 1
    speech = {"log_mel": listener.log_mel[40:160], "units": listener.units[20:80]}
    beginning = Listener(listener.judge, listener.head, weight=0.1, **speech).hear(motion[:, 10:40], 0, 25.0)
    torch.testing.assert_close(heard.loss, beginning.loss)
    length = len(listener.log_mel) / 4  # motion frames
    half = listener.hear(motion[:, :20], round(length) - 10, 25.0)
    assert half.share == pytest.approx(0.5, abs=0.05)
    beyond = listener.hear(motion[:, :20], 1000, 25.0)
    assert beyond.share == 0
    (gradient,) = torch.autograd.grad(beyond.loss.sum(), motion)
    assert (gradient == 0).all()


def test_a_listener_lowers_what_it_minds_and_a_weight_of_zero_changes_nothing(
    workspace: Path, denoiser: MotionDenoiser
) -> None:
    listener = listener_of(workspace, 0.1)
    num_frames = len(listener.log_mel) // 4  # two windows of the tiny model

    def motion_with(weight: float) -> torch.Tensor:
        led = listener_of(workspace, weight)
        return sample_long_motion(denoiser, led.log_mel, num_frames, SEEDS, OPTIONS, listener=led)

    plain = sample_long_motion(denoiser, listener.log_mel, num_frames, SEEDS, OPTIONS)
    assert torch.equal(motion_with(0.0), plain)
    losses = [listener.hear(motion, 0, 25.0).loss for motion in (plain, motion_with(0.1), motion_with(0.3))]
    assert (losses[1] < losses[0]).all()
    assert (losses[2] < losses[1]).all()


def test_a_take_is_led_the_same_whoever_else_is_sampled(workspace: Path, denoiser: MotionDenoiser) -> None:
    listener = listener_of(workspace, 0.2)
    together = sample_long_motion(denoiser, listener.log_mel, 30, SEEDS, OPTIONS, listener=listener)
    alone = sample_long_motion(denoiser, listener.log_mel, 30, [1], OPTIONS, listener=listener)
    torch.testing.assert_close(alone[0], together[1], atol=1e-3, rtol=0)


def test_pure_noise_is_not_listened_to(
    workspace: Path, denoiser: MotionDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, hear, heard = listener_of(workspace, 0.1), Listener.hear, []

    def count(self: Listener, motion: torch.Tensor, first_frame: int, fps: float) -> Heard:
        heard.append((first_frame, motion.shape[1]))
        return hear(self, motion, first_frame, fps)

    monkeypatch.setattr(Listener, "hear", count)
    config = denoiser.config
    sample_long_motion(denoiser, listener.log_mel, 2 * config.window, SEEDS, OPTIONS, listener=listener)
    own = (0, config.window)
    continued = (config.window - config.context, config.context + config.window)  # its context is heard besides
    assert heard == [own] * (OPTIONS.num_steps - 1) + [continued] * (OPTIONS.num_steps - 1)
