"""The speech encoder sees a bounded stretch, so that pieces equal the whole; its features stand where it says."""

import pytest
import torch

from stages.models.speech_encoder import SpeechEncoder


def encoder(num_layers: int, kernel: int) -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(16, num_layers, kernel).eval()


@pytest.mark.parametrize(("num_layers", "kernel"), [(1, 5), (3, 9)])
def test_a_feature_sees_just_as_far_as_it_says(num_layers: int, kernel: int) -> None:
    model = encoder(num_layers, kernel)
    mel = torch.randn(1, 240, 80, requires_grad=True)
    feature = 60
    model(mel)[0, feature].sum().backward()
    assert mel.grad is not None
    seen = mel.grad[0].abs().sum(-1).nonzero().flatten()
    assert int(seen.min()) == 2 * feature - model.reach
    assert int(seen.max()) == 2 * feature + model.reach


def test_a_piece_with_its_margin_equals_the_whole() -> None:
    model = encoder(2, 7)
    margin = model.reach + 1
    mel = torch.randn(1, 400, 80) - 6
    whole = model(mel)
    piece = model(mel[:, 100 - margin : 220 + margin])
    torch.testing.assert_close(piece[:, margin // 2 : -margin // 2], whole[:, 50:110], atol=1e-5, rtol=0)


def test_every_parameter_receives_gradient() -> None:
    model = encoder(2, 5)
    (model(torch.randn(2, 40, 80)) * torch.randn(2, 20, 16)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
