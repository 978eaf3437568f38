"""Leading a sample towards its conditions, and towards motion in which its speech is heard."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stages.audio.log_mel import MEL_RATE_HZ
from stages.heads.head import Head
from stages.losses.audio_consistency import audio_consistency
from stages.models.mesh_to_speech import MeshToSpeech
from stages.runtime.errors import ThunderError

# Root mean square over a window of normalised motion that no face reaches: 1 is what the training set has.
_OUT_OF_RANGE = 4.0


def guide(told: Tensor, untold: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on x_0: 1 is the conditional estimate, more exaggerates what the conditions changed.

    Source: Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022.
    """
    return untold + scale * (told - untold)


@dataclass(frozen=True)
class Listener:
    """A frozen mesh-to-speech model, and the speech that it should hear.

    Attributes:
        judge: the model, and `head`, through which it sees motion.
        log_mel: (L, 80) of the whole speech, and `units` (L / 2,) of it, by the judge.
        weight: W, how far a step leads at most, in deviations of the motion; see `lead`.
    """

    judge: MeshToSpeech
    head: Head
    log_mel: Tensor
    units: Tensor
    weight: float

    def hear(self, motion: Tensor, first_frame: int, fps: float) -> "Heard":
        """Listens to a stretch of motion.

        Args:
            motion: (N, T, D), not normalised.
            first_frame: where in the whole speech it begins, at least 0.
        """
        num_takes, wanted = len(motion), int(motion.shape[1] / fps * MEL_RATE_HZ) // 2 * 2
        # The mel frame, even, nearest to the first motion frame, as in training.
        start = round(first_frame / fps * MEL_RATE_HZ / 2) * 2
        length = min(wanted, len(self.log_mel) - start) // 2 * 2
        if length <= 0:
            return Heard(motion.sum((1, 2)) * 0, 0.0)
        heard = audio_consistency(
            self.judge,
            self.head,
            motion,
            fps,
            log_mel=self.log_mel[start : start + length].expand(num_takes, -1, -1),
            units=self.units[start // 2 : (start + length) // 2].expand(num_takes, -1),
        )
        return Heard(heard.total(), length / wanted)


class Heard(NamedTuple):
    """What motion costs a listener: the loss (N,) of `AudioConsistency.total`, and the share of the motion that has speech."""

    loss: Tensor
    share: float


def step_length(alpha_bar: float) -> float:
    """2 sqrt(alpha_bar (1 - alpha_bar)): at high noise an estimate is a blur of all that could be said, and at low noise
    nothing is open any more."""
    return 2 * math.sqrt(alpha_bar * (1 - alpha_bar))


def lead(x_0: Tensor, heard: Heard, x_t: Tensor, alpha_bar: float, weight: float) -> Tensor:
    """Leads an estimate down the gradient of what it costs, with respect to what it was estimated from.

    Through the denoiser the gradient keeps to directions in which the motion is still open: it is the gradient with respect
    to x_0 times the covariance of x_0 given x_t, up to a factor (Tweedie). Its size depends on the judge's units and says
    little, so each take's is brought to root mean square 1 over the frames that have speech, and the step is `weight` times
    `step_length` long.

    Args:
        x_0: (N, T, D) normalised estimate, a function of `x_t`.
        heard: its loss, a function of `x_0`.
        x_t: (N, T, D), what gradients are taken with respect to.
        alpha_bar: share of the signal's variance in `x_t`.
        weight: W.

    Raises:
        ThunderError: the loss is not finite, or the estimate left what a face can do.

    Source: Chung et al., "Diffusion Posterior Sampling for General Noisy Inverse Problems", 2023, which also normalises;
    the length of a step is ours.
    """
    (gradient,) = torch.autograd.grad(heard.loss.sum(), x_t)
    size = gradient.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-20)
    step = weight * step_length(alpha_bar) * math.sqrt(heard.share)
    led = (x_0 - step * gradient / size).detach()
    farthest = float(led.square().mean((1, 2)).sqrt().max())
    if not farthest < _OUT_OF_RANGE:  # what is not a number is not less
        raise ThunderError(
            f"--audio-guidance {weight:g} diverged: the motion came to {farthest:.3g} deviations from the mean face, wanted "
            f"under {_OUT_OF_RANGE:g}; give less"
        )
    return led
