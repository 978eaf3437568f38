"""Schedule, sampler and guidance against what can be worked out by hand."""

import math

import pytest
import torch

from stages.diffusion.guidance import guide
from stages.diffusion.samplers import SAMPLERS, Sampler, ddim, dpm_solver, sampling_timesteps
from stages.diffusion.schedule import add_noise, cosine_alphas_bar


@pytest.mark.parametrize("num_timesteps", [1, 20, 500])
def test_the_signal_falls_from_all_to_nothing(num_timesteps: int) -> None:
    alphas_bar = cosine_alphas_bar(num_timesteps)
    assert alphas_bar.shape == (num_timesteps + 1,)
    assert alphas_bar[0] == 1
    assert 0 < alphas_bar[-1] <= 1e-4
    assert (alphas_bar.diff()[:-1] < 0).all()
    if num_timesteps == 500:
        halfway = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
        assert float(alphas_bar[250]) == pytest.approx(halfway, rel=1e-5)


def test_noise_keeps_the_variance_of_normalised_motion() -> None:
    generator = torch.Generator().manual_seed(0)
    x_0, noise = torch.randn(2, 5, 20_000, generator=generator)
    alpha_bar = torch.tensor([1.0, 0.9, 0.5, 0.1, 0.0])
    x_t = add_noise(x_0, noise, alpha_bar)
    torch.testing.assert_close(x_t.std(1), torch.ones(5), atol=0.02, rtol=0)
    torch.testing.assert_close((x_t * x_0).mean(1), alpha_bar.sqrt(), atol=0.03, rtol=0)
    assert torch.equal(x_t[0], x_0[0])
    assert torch.equal(x_t[4], noise[4])


def test_timesteps_run_from_noise_to_clean() -> None:
    assert sampling_timesteps(500, 5).tolist() == [500, 400, 300, 200, 100, 0]
    assert sampling_timesteps(500, 1).tolist() == [500, 0]
    assert (sampling_timesteps(20, 20).diff() == -1).all()


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver"])
@pytest.mark.parametrize("num_steps", [1, 3, 20])
def test_who_knows_the_answer_gives_it(sampler: Sampler, num_steps: int) -> None:
    x_0 = torch.randn(2, 7, 3)
    visited = []

    def know(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        visited.append(timestep.tolist())
        return x_0

    assert torch.equal(SAMPLERS[sampler](know, torch.randn(2, 7, 3), cosine_alphas_bar(20), num_steps), x_0)
    assert len(visited) == num_steps
    assert visited[0] == [20, 20]


MEAN, DEVIATION, ALPHAS_BAR = 3.0, 0.5, cosine_alphas_bar(500)


def posterior_mean(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """The best estimate of a sample of the normal distribution N(3, 0.5)."""
    alpha_bar = ALPHAS_BAR[timestep][:, None]
    gain = alpha_bar.sqrt() * DEVIATION**2 / (alpha_bar * DEVIATION**2 + 1 - alpha_bar)
    return MEAN + gain * (x_t - alpha_bar.sqrt() * MEAN)


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver"])
def test_a_gaussian_is_sampled_with_its_mean_and_variance(sampler: Sampler) -> None:
    noise = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0))
    samples = SAMPLERS[sampler](posterior_mean, noise, ALPHAS_BAR, 200)
    assert float(samples.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(samples.std()) == pytest.approx(DEVIATION, rel=0.05)
    # Deterministic: what is more noise is more sample, order kept.
    assert (samples[0][noise[0].argsort()].diff() >= -1e-5).all()


def test_a_second_order_solver_needs_fewer_steps() -> None:
    noise = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    exact = MEAN + DEVIATION * noise  # the flow of a Gaussian keeps every sample at its quantile
    errors = {
        (solver, steps): float((solver(posterior_mean, noise, ALPHAS_BAR, steps) - exact).std())
        for solver in (ddim, dpm_solver)
        for steps in (10, 20)
    }
    assert errors[dpm_solver, 10] < 0.5 * errors[ddim, 10]
    assert errors[dpm_solver, 20] < 0.5 * errors[dpm_solver, 10]
    assert errors[dpm_solver, 10] < errors[ddim, 20]


def test_guidance_of_one_is_the_told_estimate() -> None:
    told, untold = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 5.0])
    assert guide(told, untold, 1).tolist() == [2, 4]
    assert guide(told, untold, 0).tolist() == [1, 5]
    assert guide(told, untold, 3).tolist() == [4, 2]
