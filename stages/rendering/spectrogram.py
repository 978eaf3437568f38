"""Spectrograms as pictures, and a cursor that moves over them."""

import numpy as np

from stages.rendering.picture import INK, PAPER

# Silence to the loudest: paper, then brighter and warmer, each lighter than the one before, so that grey prints tell them too.
_COLOURS = np.array([PAPER, (54, 40, 92), (138, 45, 106), (214, 84, 74), (248, 160, 62), (252, 240, 190)], "f4")
# Quieter than this under the loudest is as dark as silence: 60 dB, in nepers.
_RANGE = 6.9


def spectrogram(log_mel: np.ndarray, loudest: float, height: int, width: int) -> np.ndarray:
    """A picture (height, width, 3) of a log-mel (L, 80): time to the right, frequency upwards.

    Args:
        log_mel: natural logarithm of amplitudes.
        loudest: the value that is drawn brightest.
    """
    rows = np.arange(height)[::-1] * log_mel.shape[1] // height
    columns = np.arange(width) * len(log_mel) // width
    shade = np.clip(1 + (log_mel[columns][:, rows].T - loudest) / _RANGE, 0, 1) * (len(_COLOURS) - 1)  # (height, width)
    lower = np.minimum(shade.astype(int), len(_COLOURS) - 2)
    share = (shade - lower)[..., None]
    return np.round((1 - share) * _COLOURS[lower] + share * _COLOURS[lower + 1]).astype("u1")


def with_cursor(picture: np.ndarray, share: float, thickness: int) -> np.ndarray:
    """A copy of the picture with an upright line at a share, 0 to 1, of its width."""
    picture = picture.copy()
    left = round(share * (picture.shape[1] - thickness))
    picture[:, left : left + thickness] = INK
    return picture
