"""Augmented recordings: other, but still recordings."""

import torch

from stages.audio.log_mel import LOG_FLOOR
from stages.training.augmentation import vary_recording


def vary(log_mel: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return vary_recording(log_mel, torch.Generator().manual_seed(seed))


def test_shape_floor_and_seed() -> None:
    mel = torch.randn(16, 30, 80) * 2 - 5
    varied = vary(mel)
    assert varied.shape == mel.shape
    assert torch.isfinite(varied).all()
    assert varied.min() >= LOG_FLOOR - 1e-5
    assert torch.equal(varied, vary(mel))
    assert (varied - vary(mel, seed=1)).abs().mean() > 0.1


def test_silence_stays_quiet() -> None:
    varied = vary(torch.full((64, 20, 80), LOG_FLOOR))
    assert torch.isfinite(varied).all()
    assert varied.mean() < LOG_FLOOR + 1
    assert varied.max() < LOG_FLOOR + 5


def test_a_pause_stays_softer_than_speech_and_words_stay_in_their_place() -> None:
    mel = torch.full((64, 40, 80), -9.0)
    mel[:, 10:20] = -1.0
    varied = vary(mel).mean(-1)  # (B, L)
    speech, pause = varied[:, 10:20].mean(1), torch.cat([varied[:, :10], varied[:, 20:]], dim=1).mean(1)
    assert (speech - pause > 0.5).all()
    assert (varied.argmax(1) >= 10).all()
    assert (varied.argmax(1) < 20).all()


def test_no_voice_moves_its_formants_by_more_than_an_eighth() -> None:
    # A formant ten bands wide, above whatever colour and noise add elsewhere.
    bump = 15 * torch.exp(-(((torch.arange(80.0) - 40) / 5) ** 2)) - 9
    mel = bump.expand(64, 4, 80)
    peak = vary(mel)[:, 0].argmax(-1).float()
    moved_in_bounds = (peak >= 40 / 1.12 - 2) & (peak <= 40 / 0.88 + 2)
    assert int(moved_in_bounds.sum()) >= 60  # noise drowns a voice now and then
    assert float(peak.std()) > 1
