"""How far an estimate of speech is from speech: units and log-mel.

Source: Choi, Kim, Ro, Interspeech 2023: label-smoothed cross-entropy on units, L1 on the log-mel, spectral convergence.
All return one value an item, (B,).
"""

import torch.nn.functional as F
from torch import Tensor

LABEL_SMOOTHING = 0.1


def unit_cross_entropy(logits: Tensor, units: Tensor, mask: Tensor | None = None) -> Tensor:
    """Label-smoothed cross-entropy of (B, n, K) logits and (B, n) units."""
    loss = F.cross_entropy(logits.transpose(1, 2), units, reduction="none", label_smoothing=LABEL_SMOOTHING)
    return _mean(loss, mask)


def mel_l1(estimate: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference of (B, L, 80) normalised log-mels."""
    return _mean((estimate - truth).abs().mean(-1), mask)


def spectral_convergence(estimate: Tensor, truth: Tensor) -> Tensor:
    """Frobenius norm of the difference over that of the truth."""
    return (estimate - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1).clamp_min(1e-6)


def unit_accuracy(logits: Tensor, units: Tensor, mask: Tensor | None = None) -> Tensor:
    """Share of frames whose most likely unit is the true one."""
    return _mean((logits.argmax(-1) == units).float(), mask)


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over time of (B, n), over the frames of the mask where there is one."""
    if mask is None:
        return values.mean(1)
    return (values * mask).sum(1) / mask.sum(1).clamp_min(1)
