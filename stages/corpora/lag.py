"""How much later the lips open than the sound grows loud, over a corpus: a clap board for data that has none."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.artifacts.head_record import HeadRecord

_RATE_HZ = 100
_MAX_LAG = 30  # hundredths of a second
_FLOOR = 1e-3  # of full scale: what is quieter is no speech
# Sound of one clip and lips of another correlate too, at the best of all lags: 19 of 20 times by at most 1.7 / sqrt(s), where s
# is the length of all clips in seconds (measured on the built-in corpus, 3 to 30 s; clips with their own sound reach 0.6).
_BY_CHANCE = 2.0
_LEAST_CLEAR = 0.2


def lip_opening(head: HeadRecord, motion: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """How far the lips are apart (T,), but for a constant, by the head's linear shapes or FLAME's jaw; None without such."""
    basis = head.arrays.get("basis")
    if basis is None:
        return None
    if head.kind == "flame":
        import torch

        from stages.heads.head import build_head  # Imports torch, which reading processes do without.

        lips = torch.tensor([head.landmarks["lip_top"], head.landmarks["lip_bottom"]])
        places = build_head(head).vertices(torch.from_numpy(motion), indices=lips, pose=False)  # (T, 2, 3)
        return (places[:, 0, 1] - places[:, 1, 1]).numpy()
    apart = basis[:, head.landmarks["lip_top"], 1] - basis[:, head.landmarks["lip_bottom"], 1]  # (K,)
    return motion[:, : len(apart)] @ apart


@dataclass
class LagEstimate:
    """Correlation of loudness and lip opening at lags of -300 to 300 ms, over all clips added so far.

    Loudness is the logarithm of the energy in windows of 20 ms. Loud vowels are open ones, so the correlation has a peak; it
    stands near 0 where sound and motion belong together (jaws often lead by some tens of milliseconds), and a corpus whose
    peak stands 100 ms away, or that has none, was cut or resampled wrongly.
    """

    products: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2 * _MAX_LAG + 1))
    weight: float = 0.0
    num_clips: int = 0

    def add(self, waveform: NDArray[np.float32], opening: NDArray[np.float32], fps: float) -> None:
        """Takes in one clip: sound (S,) at 16 kHz, lip opening (T,) at `fps`."""
        hop = SAMPLE_RATE_HZ // _RATE_HZ
        num = min(len(waveform) // hop, int(len(opening) / fps * _RATE_HZ))
        if num <= 3 * _MAX_LAG:
            return
        square = np.square(waveform[: num * hop].astype(np.float64)).reshape(num, hop).mean(axis=1)
        power = np.convolve(square, [0.25, 0.5, 0.25], "same")
        loud = np.log(power + _FLOOR**2)
        lips = np.interp((np.arange(num) + 0.5) / _RATE_HZ, np.arange(len(opening)) / fps, opening)
        loud, lips = loud - loud.mean(), lips - lips.mean()
        loud_unit = loud / (np.linalg.norm(loud) or 1.0)
        lips_unit = lips / (np.linalg.norm(lips) or 1.0)
        if not loud_unit.any() or not lips_unit.any():
            return
        centre = num - 1
        self.products += np.correlate(lips_unit, loud_unit, "full")[centre - _MAX_LAG : centre + _MAX_LAG + 1] * num
        self.weight += num
        self.num_clips += 1

    def peak(self) -> tuple[float, float] | None:
        """(lag in ms, correlation there); the lag is positive where the lips are late. None without clips of a second."""
        if not self.num_clips:
            return None
        curve = self.products / self.weight
        best = int(curve.argmax())
        offset = 0.0
        if 0 < best < 2 * _MAX_LAG:  # the top of the parabola through three points
            before, here, after = curve[best - 1 : best + 2]
            bend = before - 2 * here + after
            offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
        return (best - _MAX_LAG + offset) * 1000 / _RATE_HZ, float(curve[best])

    def clear_from(self) -> float:
        """The correlation from which on the lag means something: above what sound and motion of two clips have by chance."""
        return float(np.clip(_BY_CHANCE / np.sqrt(self.weight / _RATE_HZ), _LEAST_CLEAR, 1.0)) if self.weight else 1.0
