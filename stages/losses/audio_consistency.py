"""Analysis by audio synthesis: what a frozen mesh-to-speech model hears in an animation, against the speech it was made from.

Source: THUNDER (Daněček et al., 2025). The weights of its terms are not published; ours are options.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from stages.heads.head import Head
from stages.losses.speech import mel_l1, unit_accuracy, unit_cross_entropy
from stages.models.mesh_to_speech import MeshToSpeech, look_at
from stages.models.precision import half_precision_on_gpu

# Mel frames heard at once: 64 windows of 4 s. Beyond, pieces of the batch are heard one after the other, and again in the
# backward pass, so that memory does not grow with the batch.
_MOST_MEL_FRAMES_AT_ONCE = 64 * 400


@dataclass(frozen=True)
class AudioConsistency:
    """One value an item, (B,), of each comparison.

    Attributes:
        mel: mean absolute difference of normalised log-mels.
        units: cross-entropy of the true speech units.
        unit_accuracy: share of units heard right; a figure, not a loss.
        features: mean squared difference of the conformer's features from those of the true motion; zeros where no true
            motion was given.
    """

    mel: Tensor
    units: Tensor
    unit_accuracy: Tensor
    features: Tensor

    def total(self, *, mel_weight: float = 1.0, unit_weight: float = 1.0, feature_weight: float = 0.0) -> Tensor:
        """The weighted sum (B,), differentiable with respect to the motion."""
        return mel_weight * self.mel + unit_weight * self.units + feature_weight * self.features


@dataclass(frozen=True)
class _Speech:
    """What belongs to a motion; see `audio_consistency`."""

    log_mel: Tensor
    units: Tensor
    mask: Tensor | None
    true_motion: Tensor | None

    def items(self, piece: slice) -> "_Speech":
        return replace(self, **{name: value[piece] for name, value in vars(self).items() if value is not None})


def audio_consistency(
    judge: MeshToSpeech,
    head: Head,
    motion: Tensor,
    fps: float,
    *,
    log_mel: Tensor,
    units: Tensor,
    mask: Tensor | None = None,
    true_motion: Tensor | None = None,
    most_mel_frames: int = _MOST_MEL_FRAMES_AT_ONCE,
) -> AudioConsistency:
    """Compares what `judge` hears in a motion with the speech that belongs to it.

    Args:
        judge: frozen; gradients flow through it to the motion.
        motion: (B, T, D), not normalised; frame 0 at the time of mel frame 0.
        log_mel: (B, L, 80) of the input speech, L even and L / 100 s not beyond the motion.
        units: (B, L / 2) of the input speech, by the judge's centroids.
        mask: (B, L), 1 where there is speech to compare.
        true_motion: (B, T, D) that the speech was recorded with, to compare the conformer's features with.
        most_mel_frames: heard at once, which bounds the memory.
    """
    speech = _Speech(log_mel, units, mask, true_motion)
    step = max(1, most_mel_frames // max(1, log_mel.shape[1]))
    if len(motion) <= step:
        return AudioConsistency(*_compare(judge, head, motion, fps, speech))
    pieces = [slice(first, first + step) for first in range(0, len(motion), step)]
    rows = [
        checkpoint(_compare, judge, head, motion[piece], fps, speech.items(piece), use_reentrant=False)
        for piece in pieces
    ]
    return AudioConsistency(*(torch.cat(column) for column in zip(*rows, strict=True)))


def _compare(judge: MeshToSpeech, head: Head, motion: Tensor, fps: float, speech: _Speech) -> tuple[Tensor, ...]:
    target = judge.normalise_mel(speech.log_mel)
    num_mel_frames = target.shape[1]
    unit_mask = None if speech.mask is None else speech.mask[:, ::2]
    with half_precision_on_gpu(motion.device):
        voice = judge.describe_voice(target)
        heard = judge(look_at(judge, head, motion), fps, num_mel_frames, voice)
        if speech.true_motion is None:
            features = target.new_zeros(len(target))
        else:
            with torch.no_grad():
                true = judge(look_at(judge, head, speech.true_motion), fps, num_mel_frames, voice).features
            difference = (heard.features.float() - true.float()).square().mean(-1)  # (B, L / 2)
            weight = torch.ones_like(difference) if unit_mask is None else unit_mask
            features = (difference * weight).sum(1) / weight.sum(1).clamp_min(1)
    return (
        mel_l1(heard.log_mel.float(), target, speech.mask),
        unit_cross_entropy(heard.unit_logits.float(), speech.units, unit_mask),
        unit_accuracy(heard.unit_logits, speech.units, unit_mask),
        features,
    )
