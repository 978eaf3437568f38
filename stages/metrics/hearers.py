"""Who hears a clip, a model or something simpler, and how near what each hears is to the clip's speech."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.audio.log_mel import NUM_BANDS
from stages.heads.head import Head
from stages.metrics.judged_clips import JudgedClip
from stages.metrics.reconstruction import MelScale, mel_figures, unit_figures
from stages.models.mesh_to_speech import MeshToSpeech
from stages.models.reconstruction import reconstruct_mel
from stages.models.ridge import MouthWindows, fit_ridge


class Estimate(NamedTuple):
    """What is heard of a clip.

    Attributes:
        log_mel: (L, 80), natural logarithm.
        unit_scores: (L / 2, K) logits: a softmax tells how likely each unit is held.
    """

    log_mel: Tensor
    unit_scores: Tensor

    @property
    def units(self) -> Tensor:
        """(L / 2,) int64."""
        return self.unit_scores.argmax(-1)


# A logit beside zeros that leaves no doubt.
_CERTAIN = 50.0

Hearer = Callable[[JudgedClip], Estimate]


def compare(clip: JudgedClip, heard: Estimate, centroids: Tensor, scale: MelScale) -> dict[str, float]:
    """`mel_figures` and `unit_figures` of one clip; an estimate may be a frame longer or shorter than the speech."""
    length = min(len(clip.log_mel), len(heard.log_mel)) // 2 * 2
    units, true_units = heard.units[: length // 2], clip.units(centroids)[: length // 2]
    return mel_figures(heard.log_mel[:length], clip.log_mel[:length], scale) | unit_figures(
        units, true_units, clip.sounding[: length // 2]
    )


def model_hearer(model: MeshToSpeech, head: Head, *, voice: bool = True) -> Hearer:
    """A mesh-to-speech model; without `voice` it is not told whose speech it is."""
    device = model.mel_mean.device

    def hear(clip: JudgedClip) -> Estimate:
        lent = clip.waveform if voice else clip.waveform[:0]
        mel, logits, _ = reconstruct_mel(model, head, clip.motion[None].to(device), clip.fps, lent.to(device))
        return Estimate(mel[0].float().cpu(), logits[0].float().cpu())

    return hear


def true_hearer(centroids: Tensor) -> Hearer:
    """The ceiling: the clip's own mel and units."""
    return lambda clip: Estimate(clip.log_mel, _CERTAIN * _one_hot(clip.units(centroids), len(centroids)))


def mean_hearer(train: Sequence[JudgedClip], centroids: Tensor, *, sounding: bool = False) -> Hearer:
    """The floor that looks at nothing: the mean mel of training speech and its commonest unit, in every frame.

    Args:
        sounding: the commonest unit of frames that are not silent, since that of all frames is a kind of silence.
    """
    mean = torch.cat([clip.log_mel for clip in train]).mean(0)
    units = torch.cat([clip.units(centroids)[clip.sounding | (not sounding)] for clip in train])
    counts = torch.bincount(units, minlength=len(centroids)).float()
    return lambda clip: Estimate(mean.expand(len(clip.log_mel), -1), counts.expand(len(clip.log_mel) // 2, -1))


def ridge_hearers(
    head: Head,
    train: Sequence[JudgedClip],
    val: Sequence[JudgedClip],
    codebooks: Sequence[Tensor],
    scale: MelScale,
) -> list[Hearer]:
    """The linear floor, one for each codebook of units (K, C): two mel frames and K scores from a window of the mouth."""
    windows = MouthWindows(head, [clip.motion for clip in train])

    def pair(clip: JudgedClip) -> tuple[Tensor, Tensor]:
        mel = scale.normalise(clip.log_mel).reshape(len(clip.log_mel) // 2, -1)  # (L / 2, 160)
        scores = [_one_hot(clip.units(centroids), len(centroids)) for centroids in codebooks]
        return windows(clip.motion, clip.fps, len(mel)), torch.cat([mel, *scores], dim=1)

    ridge = fit_ridge(map(pair, train), [pair(clip) for clip in val], criterion=slice(0, 2 * NUM_BANDS))
    sizes = [2 * NUM_BANDS, *map(len, codebooks)]
    to_mel, *to_scores = ridge.weights.split(sizes, dim=1)

    def hearer(weights: Tensor) -> Hearer:
        def hear(clip: JudgedClip) -> Estimate:
            x = windows(clip.motion, clip.fps, len(clip.log_mel) // 2)
            return Estimate(scale.restore((x @ to_mel).reshape(-1, NUM_BANDS)), x @ weights)

        return hear

    return [hearer(weights) for weights in to_scores]


def _one_hot(units: Tensor, num_units: int) -> Tensor:
    return F.one_hot(units, num_units).float()
