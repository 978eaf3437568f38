"""How intelligible a sound is beside the clean speech it should be: STOI and ESTOI, by the library pystoi.

Source: Taal et al., "An Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy Speech" (2011); Jensen and
Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise Maskers" (2016).
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stages.artifacts.clips import SAMPLE_RATE_HZ

_SHORTEST_S = 0.4


class Intelligibility(NamedTuple):
    """STOI and ESTOI, each 1 for the speech itself and about 0 for what has nothing to do with it."""

    stoi: float
    estoi: float


def intelligibility(sound: ArrayLike, speech: ArrayLike) -> Intelligibility:
    """STOI and ESTOI of a sound, aligned with the speech; cut to the shorter of the two. Over clips: the mean.

    Args:
        sound: (S,), 16 kHz, any loudness.
        speech: (S',), 16 kHz, any loudness.

    Returns:
        NaN where less than 0.4 s of the speech is louder than 40 dB below its loudest: too little to compare.
    """
    from pystoi import stoi

    sound, speech = np.asarray(sound, np.float64), np.asarray(speech, np.float64)
    length = min(len(sound), len(speech))
    if length < _SHORTEST_S * SAMPLE_RATE_HZ:
        return Intelligibility(math.nan, math.nan)
    with warnings.catch_warnings():
        # pystoi warns of too little speech and returns 1e-5, which would pass for a figure.
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            found = [stoi(speech[:length], sound[:length], SAMPLE_RATE_HZ, extended=e) for e in (False, True)]
        except RuntimeWarning:
            return Intelligibility(math.nan, math.nan)
    return Intelligibility(*map(float, found))
