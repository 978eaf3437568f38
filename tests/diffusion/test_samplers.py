"""Schedule, sampler and guidance against what can be worked out by hand."""

import math

import pytest
import torch

from stages.diffusion.guidance import guide
from stages.diffusion.samplers import ddim, sampling_timesteps
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


@pytest.mark.parametrize("num_steps", [1, 3, 20])
def test_who_knows_the_answer_gives_it(num_steps: int) -> None:
    x_0 = torch.randn(2, 7, 3)
    visited = []

    def know(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        visited.append(timestep.tolist())
        return x_0

    assert torch.equal(ddim(know, torch.randn(2, 7, 3), cosine_alphas_bar(20), num_steps), x_0)
    assert len(visited) == num_steps
    assert visited[0] == [20, 20]


def test_a_gaussian_is_sampled_with_its_mean_and_variance() -> None:
    mean, deviation, num_timesteps = 3.0, 0.5, 500
    alphas_bar = cosine_alphas_bar(num_timesteps)

    def posterior_mean(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        alpha_bar = alphas_bar[timestep][:, None]
        gain = alpha_bar.sqrt() * deviation**2 / (alpha_bar * deviation**2 + 1 - alpha_bar)
        return mean + gain * (x_t - alpha_bar.sqrt() * mean)

    noise = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0))
    samples = ddim(posterior_mean, noise, alphas_bar, 200)
    assert float(samples.mean()) == pytest.approx(mean, abs=0.02)
    assert float(samples.std()) == pytest.approx(deviation, rel=0.05)
    # Deterministic: what is more noise is more sample, order kept.
    assert (samples[0][noise[0].argsort()].diff() >= -1e-5).all()


def test_guidance_of_one_is_the_told_estimate() -> None:
    told, untold = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 5.0])
    assert guide(told, untold, 1).tolist() == [2, 4]
    assert guide(told, untold, 0).tolist() == [1, 5]
    assert guide(told, untold, 3).tolist() == [4, 2]
