"""Analysis by audio synthesis: what a frozen mesh-to-speech model hears in an animation, against the speech it was made from.

Source: THUNDER (Daněček et al., 2025). The weights of its terms are not published; ours are options, 1 each by default.
"""

from dataclasses import dataclass

from torch import Tensor

from stages.heads.head import Head
from stages.losses.speech import mel_l1, unit_accuracy, unit_cross_entropy
from stages.models.mesh_to_speech import MeshToSpeech, describe_speaker, look_at


@dataclass(frozen=True)
class AudioConsistency:
    """One value an item, (B,), of each comparison.

    Attributes:
        mel: mean absolute difference of normalised log-mels.
        units: cross-entropy of the true speech units.
        unit_accuracy: share of units heard right; a figure, not a loss.
    """

    mel: Tensor
    units: Tensor
    unit_accuracy: Tensor

    def total(self, *, mel_weight: float = 1.0, unit_weight: float = 1.0) -> Tensor:
        """The weighted sum (B,), differentiable with respect to the motion."""
        return mel_weight * self.mel + unit_weight * self.units


def audio_consistency(
    judge: MeshToSpeech,
    head: Head,
    motion: Tensor,
    fps: float,
    *,
    log_mel: Tensor,
    units: Tensor,
    mask: Tensor | None = None,
) -> AudioConsistency:
    """Compares what `judge` hears in a motion with the speech that belongs to it.

    Args:
        judge: frozen; gradients flow through it to the motion.
        motion: (B, T, D), not normalised; frame 0 at the time of mel frame 0.
        log_mel: (B, L, 80) of the input speech, L even and L / 100 s not beyond the motion.
        units: (B, L / 2) of the input speech, by the judge's centroids.
        mask: (B, L), 1 where there is speech to compare.
    """
    target = judge.normalise_mel(log_mel)
    heard = judge(look_at(judge, head, motion), fps, log_mel.shape[1], describe_speaker(target))
    unit_mask = None if mask is None else mask[:, ::2]
    return AudioConsistency(
        mel=mel_l1(heard.log_mel, target, mask),
        units=unit_cross_entropy(heard.unit_logits, units, unit_mask),
        unit_accuracy=unit_accuracy(heard.unit_logits, units, unit_mask),
    )
