"""From noise to a sample in few steps."""

from collections.abc import Callable

import torch
from torch import Tensor

# Estimates x_0 from x_t (B, ...) and the timestep (B,).
Denoise = Callable[[Tensor, Tensor], Tensor]


def sampling_timesteps(num_timesteps: int, num_steps: int) -> Tensor:
    """The timesteps visited, from `num_timesteps` down to 0: (num_steps + 1,) int64."""
    return torch.linspace(num_timesteps, 0, num_steps + 1).round().long()


def ddim(denoise: Denoise, noise: Tensor, alphas_bar: Tensor, num_steps: int) -> Tensor:
    """Deterministic sampling: the same noise gives the same sample.

    Args:
        denoise: the x_0 estimator.
        noise: (B, ...), the starting point x_T.
        alphas_bar: (num_timesteps + 1,), see `schedule`.
        num_steps: how many times the denoiser is called.

    Returns:
        x_0, shaped as `noise`.

    Source: Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021, eq. 12 with sigma = 0.
    """
    x_t = x_0 = noise
    steps = sampling_timesteps(len(alphas_bar) - 1, num_steps)
    for now, then in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
        x_0 = denoise(x_t, torch.full((len(x_t),), now, device=x_t.device))
        noise_estimate = (x_t - alphas_bar[now].sqrt() * x_0) / (1 - alphas_bar[now]).sqrt()
        x_t = alphas_bar[then].sqrt() * x_0 + (1 - alphas_bar[then]).sqrt() * noise_estimate
    return x_0
