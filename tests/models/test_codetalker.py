"""CodeTalker: what is kept changes nothing, all that is said is codes, and training feeds the truth."""

import time
from typing import Any

import pytest
import torch

from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from tests.builders import small_waveform

FEATURES = 5


def codetalker_of(**changes: Any) -> CodeTalker:
    """A small network whose zero-initialised output has been woken, and whose codes lie apart."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "num_features": FEATURES, "fps": 25.0, "subjects": ("ann", "bob"), "period": 5, "dim": 16, "num_layers": 2,
        "num_heads": 4, "encoder_dim": 8, "encoder_layers": 1, "encoder_kernel": 3, "num_codes": 8, "code_dim": 4,
        "codes_per_frame": 3, "autoencoder_dim": 16, "autoencoder_layers": 2, "autoencoder_heads": 2,
        "autoencoder_feed_forward": 24,
    }  # fmt: skip
    model = CodeTalker(CodeTalkerConfig(**(config | changes)))
    with torch.no_grad():
        model.to_codes.weight.normal_(std=0.5)
        model.autoencoder.codebook.normal_()
    return model.eval()


def memory_of(num_frames: int, *, batch: int = 2, heard: int = 2) -> torch.Tensor:
    return torch.randn(batch, num_frames, heard, 16, generator=torch.Generator().manual_seed(1))


def prefixes_anew(model: CodeTalker, memory: torch.Tensor, subject: torch.Tensor) -> torch.Tensor:
    """The same animation with nothing kept: for every frame, all before it go through both networks again."""
    frames = torch.zeros(len(memory), 0, FEATURES)
    for frame in range(memory.shape[1]):
        decoded = model(memory[:, : frame + 1], subject, before=frames)
        frames = torch.cat([frames, decoded[:, -1:]], dim=1)
    return decoded


@pytest.mark.parametrize("heard", [1, 2])
def test_what_is_kept_changes_nothing(heard: int) -> None:
    model, memory, subject = codetalker_of(), memory_of(17, heard=heard), torch.tensor([1, 2])
    with torch.no_grad():
        made = model(memory, subject)
        torch.testing.assert_close(made, prefixes_anew(model, memory, subject), atol=1e-5, rtol=1e-5)
    # Where gradients are wanted, attention to one feature is computed as that to several is.
    torch.testing.assert_close(made, prefixes_anew(model, memory, subject).detach(), atol=1e-5, rtol=1e-5)
    assert made.std(1).min() > 0.01


def test_a_gradient_reaches_all_but_the_autoencoder() -> None:
    model, memory = codetalker_of().train(), memory_of(9)
    model.autoencoder.requires_grad_(False)
    truth = torch.randn(2, 9, FEATURES, generator=torch.Generator().manual_seed(2))
    made, terms = model.estimate(memory, torch.tensor([1, 0]), truth, torch.ones(2, 9), fed=truth[:, :-1], forced=False)
    made.square().sum().backward()  # through the codes, which is what guides of the motion need
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert {name.split(".")[0] for name in silent} == {"speech_encoder", "embed_speech", "autoencoder"}
    assert set(terms) == {"codes"}


def test_training_feeds_the_truth_and_what_is_watched_does_not() -> None:
    model, memory, subject = codetalker_of(dropout=0.0), memory_of(9), torch.tensor([1, 2])
    truth = torch.randn(2, 9, FEATURES, generator=torch.Generator().manual_seed(2))
    mask = torch.ones(2, 9)
    with torch.no_grad():
        watched, terms = model.estimate(memory, subject, truth, mask, fed=truth[:, :-1], forced=False)
        torch.testing.assert_close(watched, model(memory, subject))
        learned, same = model.train().estimate(memory, subject, truth, mask, fed=truth[:, :-1], forced=False)
        torch.testing.assert_close(learned, model(memory, subject, before=truth[:, :-1]))
        features = model.features(memory, subject, truth[:, :-1])
        autoencoder = model.autoencoder
        codes = autoencoder.codes_of(autoencoder.nearest(autoencoder.encode(truth)))
    torch.testing.assert_close(terms["codes"], (features - codes).square().mean())
    torch.testing.assert_close(terms["codes"], same["codes"])


def test_speech_beyond_what_is_decoded_at_a_time() -> None:
    model = codetalker_of(decoded_frames=20)
    samples = torch.from_numpy(small_waveform(16_000 * 4))
    motion = model.animate(samples, 100, 2)
    assert motion.shape == (100, FEATURES)
    assert motion.isfinite().all()
    assert motion[-20:].std() > 0
    torch.testing.assert_close(motion, model.animate(samples, 100, 2))  # always the same


def cpu_seconds(model: CodeTalker, num_frames: int) -> float:
    memory = memory_of(num_frames, batch=1)
    begun = time.process_time()
    with torch.no_grad():
        model(memory, torch.tensor([1]))
    return time.process_time() - begun


def test_a_frame_costs_the_same_late_as_early() -> None:
    model = codetalker_of(decoded_frames=30)
    cpu_seconds(model, 10)
    assert min(cpu_seconds(model, 200) for _ in range(2)) < 3 * min(cpu_seconds(model, 100) for _ in range(2))


@pytest.mark.parametrize("num_frames", [1, 2])
def test_the_shortest_speech(num_frames: int) -> None:
    model, memory, subject = codetalker_of(), memory_of(num_frames), torch.tensor([0, 0])
    with torch.no_grad():
        torch.testing.assert_close(model(memory, subject), prefixes_anew(model, memory, subject), atol=1e-5, rtol=1e-5)
