"""FaceFormer: kept keys change nothing, speech of any length fits, and no frame hears what is not its own."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from stages.models.autoregressive import distance_bias, periodic_positions
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from tests.builders import small_waveform
from tests.models.test_motion_denoiser import hear_all_alike

FEATURES, SUBJECTS = 5, ("ann", "bob", "cem")


def faceformer_of(**changes: Any) -> FaceFormer:
    """A small network whose zero-initialised output has been woken."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "num_features": FEATURES, "fps": 25.0, "subjects": SUBJECTS, "period": 5, "dim": 16, "num_layers": 2,
        "num_heads": 4, "encoder_dim": 8, "encoder_layers": 1, "encoder_kernel": 3,
    }  # fmt: skip
    model = FaceFormer(FaceFormerConfig(**(config | changes)))
    with torch.no_grad():
        model.out.weight.normal_(std=0.5)
        model.out.bias.normal_()
    return model.eval()


def memory_of(num_frames: int, *, batch: int = 2, each: int = 2) -> torch.Tensor:
    return torch.randn(batch, num_frames, each, 16, generator=torch.Generator().manual_seed(1))


def prefixes_anew(model: FaceFormer, memory: torch.Tensor, subject: torch.Tensor) -> torch.Tensor:
    """The same animation with nothing kept: for every frame, all frames before it are fed again."""
    frames = torch.zeros(len(memory), 0, FEATURES)
    for frame in range(memory.shape[1]):
        latest = model(memory[:, : frame + 1], subject, before=frames)[:, -1:]
        frames = torch.cat([frames, latest], dim=1)
    return frames


def test_what_is_kept_changes_nothing_with_gradients_and_without() -> None:
    model, memory, subject = faceformer_of(), memory_of(23), torch.tensor([1, 3])
    with torch.no_grad():
        anew, kept = prefixes_anew(model, memory, subject), model(memory, subject)
    torch.testing.assert_close(kept, anew, atol=1e-5, rtol=1e-5)
    learned = model(memory, subject)
    torch.testing.assert_close(learned.detach(), kept, atol=1e-5, rtol=1e-5)
    learned.square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert [name for name in silent if not name.startswith(("speech_encoder", "embed_speech"))] == []


def test_a_frame_follows_its_own_speech_and_the_motion_before_it() -> None:
    # One layer: in a second one the true motion's embeddings have heard speech.
    model, memory, subject = faceformer_of(num_layers=1), memory_of(12), torch.tensor([1, 1])
    changed = memory.clone()
    changed[:, 7] += 1
    with torch.no_grad():
        difference = (model(memory, subject) - model(changed, subject)).abs().sum(-1)
        assert (difference[:, :7] == 0).all()
        assert (difference[:, 7:] > 0).all()
        before = torch.randn(2, 11, FEATURES)
        forced = (model(memory, subject, before=before) - model(changed, subject, before=before)).abs().sum(-1)
    assert (forced[:, 7] > 0).all()
    assert (forced[:, torch.arange(12) != 7] == 0).all()  # the true motion does not know of it


def test_the_style_that_is_not_told_is_the_mean_of_all() -> None:
    model = faceformer_of()
    styles = model.style_of(torch.arange(4))
    torch.testing.assert_close(styles[0], styles[1:].mean(0))
    torch.testing.assert_close(styles[2], model.style(torch.tensor([0.0, 1.0, 0.0])))


def test_positions_repeat_and_the_bias_falls_by_a_slope_a_period() -> None:
    positions = periodic_positions(13, 5, 4)
    torch.testing.assert_close(positions[:5], positions[5:10])
    angles = torch.tensor([2.0, 2.0 / 100])
    torch.testing.assert_close(positions[7], torch.stack([angles.sin(), angles.cos()], 1).flatten())
    bias = distance_bias(12, 5, 4)
    assert bias[0, 11].tolist() == [-0.5, -0.5, -0.25, -0.25, -0.25, -0.25, -0.25, 0, 0, 0, 0, 0]
    assert bias[3, 6, 0] == -1 / 256
    assert torch.isinf(bias[1].triu(1)).sum() == 66
    torch.testing.assert_close(distance_bias(12, 5, 4, rows=1), bias[:, -1:])


def test_speech_far_beyond_six_hundred_frames() -> None:
    model = faceformer_of(fps=60.0, period=60)
    hear_all_alike(model.speech_encoder)
    samples = torch.from_numpy(small_waveform(16_000 * 12))
    motion = model.animate(samples, 720, 2)
    assert motion.shape == (720, FEATURES)
    assert motion.isfinite().all()
    assert motion[-60:].std() > 0
    torch.testing.assert_close(motion, model.animate(samples, 720, 2))  # always the same
    # What comes later changes nothing but for the encoder's reach.
    torch.testing.assert_close(motion[:300], model.animate(samples[: 16_000 * 6], 360, 2)[:300], atol=1e-3, rtol=0)


def test_motion_is_made_at_the_rate_of_the_model() -> None:
    model = faceformer_of()
    heard: list[torch.Tensor] = []
    model.speech_encoder.encode_whole = lambda samples: torch.arange(100.0)[None, :, None].expand(1, 100, 8)  # type: ignore[union-attr, method-assign]
    model.embed_speech = torch.nn.Identity()  # type: ignore[assignment]

    def listen(memory: torch.Tensor, subject: torch.Tensor) -> torch.Tensor:
        heard.append(memory)
        return torch.zeros(1, memory.shape[1], FEATURES)

    model.forward = listen  # type: ignore[assignment, method-assign]
    model.animate(torch.zeros(32_000, dtype=torch.int16), 50, 0)
    torch.testing.assert_close(heard[0][0, :, 0, 0], 2 * torch.arange(50.0))  # 50 Hz beside 25 fps


def test_it_learns_from_its_own_motion() -> None:
    model, memory, subject = faceformer_of(num_layers=1, dropout=0.0).train(), memory_of(12), torch.tensor([1, 2])
    truth = torch.randn(2, 12, FEATURES, generator=torch.Generator().manual_seed(4))
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(100):
        loss = (model(memory, subject) - truth).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def cpu_seconds(function: Callable[[], Any]) -> float:
    begun = time.process_time()
    function()
    return time.process_time() - begun


def test_keeping_pays_and_a_frame_costs_the_same_late_as_early() -> None:
    model, subject = faceformer_of(dim=64, num_layers=1), torch.tensor([1])
    memory = torch.randn(1, 200, 1, 64)
    with torch.no_grad():
        model(memory[:, :50], subject)
        kept = min(cpu_seconds(lambda: model(memory, subject)) for _ in range(2))
        half = min(cpu_seconds(lambda: model(memory[:, :100], subject)) for _ in range(2))
        anew = cpu_seconds(lambda: prefixes_anew(model, memory, subject))
    assert anew > 2 * kept
    assert kept < 3 * half


@pytest.mark.parametrize("num_heads", [1, 3])
def test_other_numbers_of_heads(num_heads: int) -> None:
    model = faceformer_of(num_heads=num_heads, dim=12)
    memory = torch.randn(1, 9, 1, 12)
    with torch.no_grad():
        kept, anew = (f(memory, torch.tensor([0])) for f in (model, lambda m, s: prefixes_anew(model, m, s)))
    torch.testing.assert_close(kept, anew, atol=1e-5, rtol=1e-5)
