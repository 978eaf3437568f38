"""Leading a sample towards its conditions."""

from torch import Tensor


def guide(told: Tensor, untold: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on x_0: 1 is the conditional estimate, more exaggerates what the conditions changed.

    Source: Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022.
    """
    return untold + scale * (told - untold)
