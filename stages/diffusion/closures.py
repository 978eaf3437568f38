"""Lips that meet where /p b m/ is heard.

A denoiser draws what usually goes with a sound, and now and then lips that almost meet. But a /p/ with parted lips is seen at
once to be wrong, while one closed too often is hardly seen. So where the model hears such a sound, every estimate is taken
the shortest way to one whose lips meet; the denoiser goes on from there, and makes the frames around fit.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stages.heads.head import Head, lip_midpoints
from stages.losses.geometry import lip_gap
from stages.models.motion_denoiser import MotionDenoiser

# Likelihoods of a frame's being /p b m/ from which lips begin to be led together, and from which they meet. Chosen on
# recordings of people of the validation split.
_SOME_LIKELY, _LIKELY = 0.1, 0.2


@dataclass(frozen=True)
class Closer:
    """Leads lips together.

    Attributes:
        head: whose lips they are; it knows the landmarks `lip_top` and `lip_bottom`.
        firmness: 0 leaves the lips as they are, 1 makes them meet.
    """

    head: Head
    firmness: float

    def share(self, likely: Tensor) -> Tensor:
        """How much of the gap to take away, 0 to 1, from the likelihoods (..., F) of `MotionDenoiser.lips_heard_closed`."""
        return self.firmness * ((likely - _SOME_LIKELY) / (_LIKELY - _SOME_LIKELY)).clamp(0, 1)

    def close(self, x_0: Tensor, denoiser: MotionDenoiser, share: Tensor) -> Tensor:
        """Takes away a share of the gap that the lips have beyond that of the face at rest.

        It is one step of Newton's method, along the gradient: the least change of normalised motion that closes the gap, if
        it were linear. Estimates come one after another, and the last is as good as closed.

        Args:
            x_0: (N, T, D) normalised estimate.
            share: (T,), see `share`.

        Returns:
            (N, T, D) normalised.
        """
        with torch.enable_grad():
            x_0 = x_0.detach().requires_grad_()
            vertices = self.head.vertices(denoiser.restore(x_0), indices=self._midpoints, pose=False)
            gap = lip_gap(*vertices.unbind(-2))  # (N, T)
            (gradient,) = torch.autograd.grad(gap.sum(), x_0)
        excess = share * (gap - self._gap_at_rest).clamp_min(0)
        step = excess / gradient.square().sum(-1).clamp_min(1e-12)
        return (x_0 - step[..., None] * gradient).detach()

    @cached_property
    def _midpoints(self) -> Tensor:
        return lip_midpoints(self.head.record)

    @cached_property
    def _gap_at_rest(self) -> float:
        return float(lip_gap(*torch.from_numpy(self.head.record.template)[self._midpoints].unbind(-2)))
