"""From noise to a sample in few steps."""

import math
from collections.abc import Callable
from typing import Literal

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


def dpm_solver(denoise: Denoise, noise: Tensor, alphas_bar: Tensor, num_steps: int) -> Tensor:
    """Deterministic sampling that follows the curve of the estimates, of second order in the step; see `ddim`.

    The first and the last step are of first order: there is no estimate before the one, and no noise after the other.

    Source: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022, algorithm 2
    (2M).
    """
    x_t = x_0 = noise
    before: Tensor | None = None
    step_before = 0.0
    signal, deviation = alphas_bar.double().sqrt(), (1 - alphas_bar.double()).sqrt()
    half_log_snr = (signal / deviation.clamp_min(1e-12)).log()
    steps = sampling_timesteps(len(alphas_bar) - 1, num_steps)
    for now, then in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
        x_0 = denoise(x_t, torch.full((len(x_t),), now, device=x_t.device))
        if then == 0:
            break
        step = float(half_log_snr[then] - half_log_snr[now])
        estimate = x_0
        if before is not None:
            estimate = x_0 + (x_0 - before) * (step / (2 * step_before))
        x_t = float(deviation[then] / deviation[now]) * x_t - float(signal[then]) * math.expm1(-step) * estimate
        before, step_before = x_0, step
    return x_0


Sampler = Literal["ddim", "dpm-solver"]
SAMPLERS: dict[Sampler, Callable[[Denoise, Tensor, Tensor, int], Tensor]] = {"ddim": ddim, "dpm-solver": dpm_solver}
