"""Losses of a vocoder against values worked by hand."""

import pytest
import torch

from stages.losses.vocoding import critics_loss, feature_matching, mel_distance, persuasion_loss, stft_distance


def test_critics_want_one_for_speech_and_nothing_for_what_was_made() -> None:
    of_recorded = [torch.tensor([[1.0, 0.5]]), torch.tensor([[2.0]])]
    of_made = [torch.tensor([[0.0, 1.0]]), torch.tensor([[-0.5]])]
    # (0 + .25) / 2 + (0 + 1) / 2, and 1 + .25
    assert critics_loss(of_recorded, of_made).item() == pytest.approx(0.125 + 0.5 + 1.25)
    # (1 + 0) / 2, and 2.25
    assert persuasion_loss(of_made).item() == pytest.approx(0.5 + 2.25)


def test_features_are_matched_layer_by_layer_and_the_recordings_stand_still() -> None:
    theirs = [[torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([0.0])], [torch.tensor([5.0])]]
    ours = [[torch.tensor([2.0, 1.0], requires_grad=True), torch.tensor([0.5])], [torch.tensor([5.0])]]
    loss = feature_matching(theirs, ours)
    assert loss.item() == pytest.approx(1.5 + 0.5)
    loss.backward()
    assert theirs[0][0].grad is None
    assert ours[0][0].grad is not None
    torch.testing.assert_close(ours[0][0].grad, torch.tensor([0.5, -0.5]))


def test_twice_as_loud_is_ln_2_away_in_every_mel_band() -> None:
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(2, 3200, generator=generator)
    assert mel_distance(2 * sound, sound).item() == pytest.approx(0.6931, abs=1e-3)
    assert mel_distance(sound, sound).item() == 0


def test_twice_as_loud_is_one_and_ln_2_away_at_every_resolution() -> None:
    """Spectral convergence |2A - A| / |A| = 1, log-amplitudes ln 2 apart; half as loud, |A/2 - A| / |A| = 1/2."""
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(2, 3200, generator=generator)
    assert stft_distance(2 * sound, sound).item() == pytest.approx(1.6931, abs=1e-3)
    assert stft_distance(sound / 2, sound).item() == pytest.approx(1.1931, abs=1e-3)
    assert stft_distance(sound, sound).item() == 0


def test_silence_has_a_finite_gradient() -> None:
    sound = torch.zeros(1, 3200, requires_grad=True)
    (stft_distance(sound, torch.ones(1, 3200)) + mel_distance(sound, torch.ones(1, 3200))).backward()
    assert sound.grad is not None
    assert torch.isfinite(sound.grad).all()
