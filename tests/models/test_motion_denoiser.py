"""The denoiser: what it is told has its influence, what it is not told has none, at any frame rate."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.audio.log_mel import mel_around
from stages.models.motion_denoiser import (
    Conditions,
    MotionDenoiser,
    MotionDenoiserConfig,
    checkpoint_of,
    load_motion_denoiser,
    tell_emotion,
)
from stages.models.speech_encoder import SpeechEncoder
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_head

BATCH, WINDOW, CONTEXT, FEATURES = 3, 12, 4, 5


def hear_all_alike(encoder: torch.nn.Module) -> None:
    """Takes every sound to be a pause, none of which has a part in the statistics: a piece is heard as the whole is."""
    assert isinstance(encoder, SpeechEncoder)
    encoder.mel_mean.fill_(10.0)
    encoder.mel_scale.fill_(5.0)


def denoiser_of(**changes: Any) -> MotionDenoiser:
    """A small denoiser whose zero-initialised layers have been woken."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "num_features": FEATURES, "fps": 25.0, "emotions": ("happy", "sad"), "subjects": ("ann",), "window": WINDOW,
        "context": CONTEXT, "num_timesteps": 20, "dim": 16, "num_layers": 2, "num_heads": 2, "encoder_dim": 8,
        "encoder_layers": 1, "encoder_kernel": 3,
    }  # fmt: skip
    model = MotionDenoiser(MotionDenoiserConfig(**(config | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().sum() == 0:
                parameter.normal_(std=0.3)
        # What "not told" looks up stays zero, as padding_idx keeps it in training.
        for table in (model.embed_emotion, model.embed_intensity, model.embed_subject):
            table.weight[0] = 0
    return model.eval()


def conditions() -> Conditions:
    generator = torch.Generator().manual_seed(1)
    emotion, strength = tell_emotion(torch.tensor([1, 2, 1]), torch.tensor([0.2, 0.5, 1.0]), 2)
    return Conditions(
        speech=torch.randn(BATCH, CONTEXT + WINDOW, 8, generator=generator),
        context=torch.randn(BATCH, CONTEXT, FEATURES, generator=generator),
        has_context=torch.ones(BATCH, dtype=torch.bool),
        emotion=emotion,
        strength=strength,
        subject=torch.tensor([1, 1, 0]),
        has_speech=torch.ones(BATCH, dtype=torch.bool),
    )


def estimate(model: MotionDenoiser, given: Conditions, *, timestep: int = 9) -> torch.Tensor:
    x_t = torch.randn(BATCH, WINDOW, FEATURES, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return model(x_t, torch.full((BATCH,), timestep), given)


def test_each_condition_has_influence_and_only_on_its_item() -> None:
    model, given = denoiser_of(), conditions()
    before = estimate(model, given)
    assert before.shape == (BATCH, WINDOW, FEATURES)
    for name, other in {
        "speech": given.speech + 1,
        "context": given.context + 1,
        "has_context": ~given.has_context,
        "emotion": given.emotion.flip(-1),
        "strength": given.strength.flip(-1),
        "subject": torch.tensor([0, 0, 1]),
        "has_speech": ~given.has_speech,
    }.items():
        mixed = getattr(given, name).clone()
        mixed[1] = other[1]  # item 1 alone is told something else
        after = estimate(model, replace(given, **{name: mixed}))
        assert (after[1] - before[1]).abs().max() > 1e-3, name
        torch.testing.assert_close(after[[0, 2]], before[[0, 2]], atol=1e-6, rtol=0)
    assert (estimate(model, given, timestep=15) - before).abs().max() > 1e-3


def test_what_is_not_told_has_no_influence() -> None:
    model, given = denoiser_of(), conditions()
    no = torch.zeros(BATCH, dtype=torch.bool)
    for told, changed in [
        ({"has_speech": no}, {"speech": given.speech * 5 + 1}),
        ({"has_context": no}, {"context": given.context * 5 + 1}),
    ]:
        without = replace(given, **told)
        assert torch.equal(estimate(model, without), estimate(model, replace(without, **changed)))
    free = given.without_speech_and_style()
    other = replace(given, speech=given.speech + 3, emotion=given.emotion * 0, subject=given.subject * 0)
    assert torch.equal(estimate(model, free), estimate(model, other.without_speech_and_style()))
    assert free.context is given.context
    assert free.has_context is given.has_context


def test_a_style_told_for_every_frame_is_the_same_style() -> None:
    model, given = denoiser_of(), conditions()
    over_time = {name: getattr(given, name).expand(-1, CONTEXT + WINDOW, -1) for name in ("emotion", "strength")}
    torch.testing.assert_close(estimate(model, replace(given, **over_time)), estimate(model, given))
    later = over_time["emotion"].clone()
    later[:, CONTEXT + 8 :] = later[:, CONTEXT + 8 :].flip(-1)
    change = (estimate(model, replace(given, **over_time | {"emotion": later})) - estimate(model, given)).abs()
    assert change[:, 8:].mean() > 2 * change[:, :8].mean()  # its own frames first, the others by attention


def test_an_emotion_is_told_by_its_share() -> None:
    share, strength = tell_emotion(torch.tensor([0, 2]), torch.tensor([0.3, 0.5]), 2)
    assert share.tolist() == [[[0, 0]], [[0, 1]]]
    assert strength.tolist() == [[[0, 0]], [[0, 0.5]]]


def test_speech_reaches_the_frames_of_its_own_time_first() -> None:
    model = denoiser_of()
    given = conditions()
    speech = given.speech.clone().requires_grad_()
    out = model(torch.zeros(BATCH, WINDOW, FEATURES), torch.full((BATCH,), 9), replace(given, speech=speech))
    out[:, 6].square().sum().backward()
    assert speech.grad is not None
    assert int(speech.grad.norm(dim=-1).mean(0).argmax()) == CONTEXT + 6


def test_every_parameter_receives_gradient() -> None:
    model = denoiser_of()
    mel = torch.randn(BATCH, 120, 80)
    given = conditions()
    given = replace(
        given,
        speech=model.encode_speech(mel, 0.1, CONTEXT + WINDOW),
        has_context=torch.tensor([True, False, True]),
        has_speech=torch.tensor([True, True, False]),
    )
    estimate_ = model(torch.randn(BATCH, WINDOW, FEATURES), torch.tensor([3, 9, 20]), given)
    (estimate_ * torch.randn_like(estimate_)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    for table in (model.embed_emotion, model.embed_intensity, model.embed_subject):
        assert table.weight.grad is not None
        assert (table.weight.grad[0] == 0).all()  # "not told" stays zero


def test_a_new_model_estimates_the_mean_face() -> None:
    torch.manual_seed(0)
    model = MotionDenoiser(denoiser_of().config)
    model.motion_mean.normal_()
    assert (model.restore(estimate(model, conditions())) == model.motion_mean).all()


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_speech_features_stand_at_the_frames_times(fps: float) -> None:
    model = denoiser_of(fps=fps)
    hear_all_alike(model.speech_encoder)
    mel = torch.randn(500, 80, generator=torch.Generator().manual_seed(4)) - 6
    with torch.no_grad():
        whole = model.speech_encoder(mel[None])[0]  # feature j at second j / 50
    for first in (30, 31, 44):
        wide, first_s = mel_around(mel, first, 16, fps, model.speech_margin)
        with torch.no_grad():
            found = model.encode_speech(wide[None], first_s, 16)[0]
            batched = model.encode_speech(wide[None].expand(2, -1, -1), torch.tensor([first_s] * 2), 16)[1]
        for frame in range(16):
            position = (first + frame) / fps * 50
            below = int(position)
            expected = torch.lerp(whole[below], whole[below + 1], position - below)
            torch.testing.assert_close(found[frame], expected, atol=2e-4, rtol=0)
        torch.testing.assert_close(batched, found, atol=1e-4, rtol=0)


def test_a_model_read_back_estimates_the_same(tmp_path: Path) -> None:
    head = small_head()
    model = denoiser_of(num_features=len(head.features))
    model.motion_mean.normal_()
    model.motion_scale.uniform_(0.5, 2)
    path = tmp_path / "diffusion.h5"
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), head, {})
    write_checkpoint(path, "thunder.diffusion", checkpoint, Provenance(seed=0, command="test"), force=False)
    loaded, found_head = load_motion_denoiser(path)
    assert found_head.motion_fingerprint == head.motion_fingerprint
    assert loaded.config == model.config
    given = replace(conditions(), context=torch.randn(BATCH, CONTEXT, len(head.features)))
    x_t = torch.randn(BATCH, WINDOW, len(head.features))
    timestep = torch.full((BATCH,), 7)
    with torch.no_grad():
        assert torch.equal(loaded(x_t, timestep, given), model(x_t, timestep, given))
    assert torch.equal(loaded.restore(x_t), model.restore(x_t))
    torch.testing.assert_close(loaded.normalise(loaded.restore(x_t)), x_t, atol=1e-5, rtol=1e-5)
    write_checkpoint(path, "thunder.m2s", checkpoint, Provenance(seed=0, command="test"), force=True)
    with pytest.raises(ThunderError, match=r"wanted thunder\.diffusion, found thunder\.m2s"):
        load_motion_denoiser(path)
