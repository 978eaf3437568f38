"""How much of the clean sample is left at each timestep.

Source: Nichol, Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021 (cosine schedule).
"""

import math

import torch
from torch import Tensor

# Keeps the variance of a step away from 0 at the clean end.
_OFFSET = 0.008


def cosine_alphas_bar(num_timesteps: int) -> Tensor:
    """Share of the signal's variance left after t steps of noise.

    Returns:
        (num_timesteps + 1,), from 1 at t = 0 to almost 0, never increasing.
    """
    t = torch.linspace(0, 1, num_timesteps + 1, dtype=torch.float64)
    shape = torch.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
    return (shape / shape[0]).clamp(1e-5, 1).float()


def add_noise(x_0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) noise, with alpha_bar (B,) of each item's timestep."""
    alpha_bar = alpha_bar.reshape(-1, *[1] * (x_0.ndim - 1))
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise
