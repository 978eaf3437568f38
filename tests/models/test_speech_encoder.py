"""The speech encoder sees a bounded stretch, whoever speaks into whatever microphone."""

import pytest
import torch

from stages.audio.log_mel import LOG_FLOOR
from stages.models.speech_encoder import SpeechEncoder


def encoder(num_layers: int, kernel: int) -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(16, num_layers, kernel).eval()


@pytest.mark.parametrize(("num_layers", "kernel"), [(1, 5), (3, 9)])
def test_a_feature_sees_just_as_far_as_it_says(num_layers: int, kernel: int) -> None:
    model = encoder(num_layers, kernel)
    mel = torch.full((1, 240, 80), LOG_FLOOR)  # no frame sounds, and so none speaks for all by its loudness
    mel.requires_grad_()
    feature = 60
    model(mel)[0, feature].square().sum().backward()
    assert mel.grad is not None
    seen = mel.grad[0].abs().sum(-1).nonzero().flatten()
    assert int(seen.min()) == 2 * feature - model.reach
    assert int(seen.max()) == 2 * feature + model.reach


def test_other_microphones_are_the_same_speech() -> None:
    model = encoder(2, 7)
    mel = torch.randn(1, 4000, 80, generator=torch.Generator().manual_seed(1))
    model.fit([mel[0]])
    coloured = 1.3 * mel + torch.linspace(-1, 1, 80)
    # The corpus has a second's weight in what are here forty.
    assert (model(coloured) - model(mel)).abs().mean() < 0.1 * model(mel).abs().mean()
    unlike = encoder(2, 7)
    unlike.fit([coloured[0]])
    torch.testing.assert_close(unlike(coloured), model(mel), atol=1e-4, rtol=0)


def test_pauses_have_no_part_in_the_statistics() -> None:
    model = encoder(2, 7)
    speech = torch.randn(1, 300, 80, generator=torch.Generator().manual_seed(1))
    model.fit([speech[0], torch.full((200, 80), LOG_FLOOR)])
    torch.testing.assert_close(model.mel_mean, speech[0].mean(0))
    torch.testing.assert_close(model.mel_scale, speech[0].std(0))
    paused = torch.cat([speech, torch.full((1, 400, 80), LOG_FLOOR)], dim=1)
    spoken = 150 - model.reach
    torch.testing.assert_close(model(paused)[:, :spoken], model(speech)[:, :spoken], atol=1e-5, rtol=0)
    silence = torch.full((1, 100, 80), LOG_FLOOR)
    torch.testing.assert_close(model(silence)[:, 40], model(torch.full((1, 900, 80), LOG_FLOOR))[:, 40])


def test_every_parameter_receives_gradient() -> None:
    model = encoder(2, 5)
    (model(torch.randn(2, 40, 80)) * torch.randn(2, 20, 16)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
