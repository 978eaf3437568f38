"""How near a reconstructed spectrogram and its units are to the speech that they reconstruct: figures of one clip."""

import math
from dataclasses import dataclass

from torch import Tensor

from stages.losses.speech import mel_l1, spectral_convergence

# Mel bands are natural logarithms of amplitudes.
_DB_PER_NEPER = 20 / math.log(10)
# A frame this far below the loud frames of its clip is silence: a pause, or the closure of a stop.
_SILENCE_NEPERS = 35 / _DB_PER_NEPER


@dataclass(frozen=True)
class MelScale:
    """Mean and deviation (80,) of each band over training speech, in which distances are told for all models alike."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, log_mel: Tensor) -> "MelScale":
        """Statistics of (n, 80)."""
        return cls(log_mel.mean(0), log_mel.std(0, correction=0).clamp_min(0.1))

    def normalise(self, log_mel: Tensor) -> Tensor:
        """(..., 80) in standard deviations from the mean."""
        return (log_mel - self.mean) / self.deviation

    def restore(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return normalised * self.deviation + self.mean


def mel_figures(estimate: Tensor, truth: Tensor, scale: MelScale) -> dict[str, float]:
    """Distances of log-mels (L, 80), natural logarithm. Over clips: the mean.

    Returns:
        `mel`, mean absolute difference in standard deviations of each band; `mel-db`, the same in decibels of amplitude;
        `convergence`, the Frobenius norm of the difference over that of the truth, in standard deviations from the mean, so
        that the mean itself has about 1.
    """
    guess, speech = scale.normalise(estimate)[None], scale.normalise(truth)[None]
    return {
        "mel": float(mel_l1(guess, speech)),
        "mel-db": _DB_PER_NEPER * float(mel_l1(estimate[None], truth[None])),
        "convergence": float(spectral_convergence(guess, speech)),
    }


def sounding(log_mel: Tensor) -> Tensor:
    """Which 50 Hz frames (L // 2) of a log-mel (L, 80) are not silent: louder than 35 dB below the 95th percentile."""
    loudness = log_mel.logsumexp(-1)[: len(log_mel) // 2 * 2].unflatten(0, (-1, 2)).amax(1)
    return loudness > loudness.quantile(0.95) - _SILENCE_NEPERS


def unit_figures(estimate: Tensor, truth: Tensor, sounding: Tensor) -> dict[str, float]:
    """Shares of units (n,) heard right. Over clips: the mean.

    Returns:
        `units`, over all frames; `units-sounding`, over those that are not silent, NaN where all are.
    """
    right = (estimate == truth).float()
    return {"units": float(right.mean()), "units-sounding": float(right[sounding].mean())}
