"""STOI and ESTOI: 1 for the speech itself at any loudness, low for noise, nothing for what is too short."""

import numpy as np
import pytest

from stages.audio.waveform import load_waveform
from stages.metrics.intelligibility import intelligibility
from stages.runtime.assets import asset_path


def test_speech_noise_and_speech_in_noise() -> None:
    speech = load_waveform(asset_path("speech.wav"))[:48_000]
    noise = np.random.default_rng(0).normal(scale=speech.std(), size=len(speech))
    same = intelligibility(0.01 * speech, speech)
    assert same.stoi == pytest.approx(1, abs=1e-3)
    assert same.estoi == pytest.approx(1, abs=1e-3)
    noisy, lost = intelligibility(speech + noise, speech), intelligibility(noise, speech)
    assert 0.9 > noisy.stoi > lost.stoi + 0.2
    assert 0.9 > noisy.estoi > lost.estoi + 0.2
    assert abs(lost.estoi) < 0.1
    # A sound that is a little longer is cut, and shifted speech is not the same.
    assert intelligibility(np.append(speech, speech[:400]), speech) == pytest.approx((1, 1), abs=1e-3)
    assert intelligibility(np.roll(speech, 1600), speech).estoi < 0.3


@pytest.mark.parametrize("num_samples", [0, 100, 6400, 16_000])
def test_too_little_speech_is_not_a_number(num_samples: int) -> None:
    speech = np.zeros(num_samples)
    speech[: min(num_samples, 4000)] = np.random.default_rng(0).normal(size=min(num_samples, 4000))
    assert np.isnan(intelligibility(speech, speech)).all()
