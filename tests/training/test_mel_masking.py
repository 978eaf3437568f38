"""Hiding and smearing: what they change, what they leave, and that seeds decide."""

import torch

from stages.training.mel_masking import _blur, hide_parts, smear


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hidden_parts_are_runs_of_bands_and_frames_at_the_mean() -> None:
    mel = torch.randn(64, 300, 80, generator=generator())
    hidden = hide_parts(mel, generator(1))
    changed = hidden != mel
    mean = mel.mean((1, 2), keepdim=True).expand_as(mel)
    assert torch.equal(hidden[changed], mean[changed])
    bands, frames = changed.all(1), changed.all(2)
    assert torch.equal(changed, bands[:, None] | frames[:, :, None])
    assert bands.sum(1).max() <= 20
    assert frames.sum(1).max() <= 30
    assert 4 < bands.sum(1).float().mean() < 16
    assert 8 < frames.sum(1).float().mean() < 22
    assert torch.equal(hidden, hide_parts(mel, generator(1)))
    assert not torch.equal(hidden, hide_parts(mel, generator(2)))


def test_half_of_the_clips_are_smeared_and_lose_contrast_only() -> None:
    mel = torch.randn(200, 60, 80, generator=generator())
    smeared = smear(mel, generator(1))
    untouched = (smeared - mel).abs().amax((1, 2)) < 1e-5
    assert 70 < int(untouched.sum()) < 130
    assert (smeared.std((1, 2)) <= mel.std((1, 2)) + 1e-5).all()
    still = torch.full((50, 60, 80), -4.0)
    torch.testing.assert_close(smear(still, generator(1)), still)


def test_a_blurred_impulse_is_a_gaussian() -> None:
    impulse = torch.zeros(1, 2, 41)
    impulse[..., 20] = 1
    sharp, blurred = _blur(impulse, torch.tensor([0.0, 1.5]))[0]
    torch.testing.assert_close(sharp, impulse[0, 0])
    offsets = torch.arange(-20, 21.0)
    assert abs(float((blurred * offsets).sum())) < 1e-6
    assert abs(float((blurred * offsets.square()).sum()) - 1.5**2) < 0.02
