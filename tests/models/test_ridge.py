"""Ridge regression: the linear law is found, the penalty is chosen on other people, windows stand at their times."""

import numpy as np
import pytest
import torch

from stages.heads.head import build_head
from stages.models.ridge import REACH, MouthWindows, fit_ridge
from tests.builders import small_head, small_motion


def pairs(num: int, noise: float, num_inputs: int = 6, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    law = torch.arange(1.0, 2 * num_inputs + 1).reshape(num_inputs, 2)
    made = []
    for _ in range(num):
        x = torch.cat([torch.randn(20, num_inputs, generator=generator) + 3, torch.ones(20, 1)], 1)
        made.append((x, x[:, :-1] @ law - 5 + noise * torch.randn(20, 2, generator=generator)))
    return made


def test_a_linear_law_is_found_with_its_constant() -> None:
    ridge = fit_ridge(pairs(10, 0.0), pairs(2, 0.0, seed=1), criterion=slice(0, 2))
    torch.testing.assert_close(ridge.weights[:-1], torch.arange(1.0, 13).reshape(6, 2), atol=1e-2, rtol=0)
    torch.testing.assert_close(ridge.weights[-1], torch.tensor([-5.0, -5.0]), atol=0.2, rtol=0)


def test_weights_solve_the_penalised_normal_equations() -> None:
    training = pairs(3, 1.0)
    ridge = fit_ridge(training, pairs(2, 1.0, seed=1), criterion=slice(0, 1))
    x, y = (torch.cat(parts).double().numpy() for parts in zip(*training, strict=True))
    x, centre = x[:, :-1] - x[:, :-1].mean(0), y - y.mean(0)
    covariance = x.T @ x / len(x)
    penalty = ridge.penalty * np.trace(covariance) / len(covariance)
    expected = np.linalg.solve(covariance + penalty * np.eye(len(covariance)), x.T @ centre / len(x))
    np.testing.assert_allclose(ridge.weights[:-1], expected, rtol=1e-4)


def test_few_noisy_frames_want_a_greater_penalty() -> None:
    few = fit_ridge(pairs(1, 20.0, 15), pairs(20, 0.0, 15, seed=1), criterion=slice(0, 2))
    many = fit_ridge(pairs(200, 0.01, 15), pairs(20, 0.0, 15, seed=1), criterion=slice(0, 2))
    assert few.penalty > 100 * many.penalty
    with pytest.raises(ValueError, match="at least one training"):
        fit_ridge([], pairs(1, 0.0), criterion=slice(0, 2))


def test_windows_see_the_mouth_about_each_moment_and_no_nodding() -> None:
    head = build_head(small_head())
    motion = torch.from_numpy(small_motion(40))
    windows = MouthWindows(head, [motion])
    seen = windows(motion, 25.0, 60)
    per_frame = (seen.shape[1] - 1) // (2 * REACH + 1)
    assert seen.shape == (60, (2 * REACH + 1) * per_frame + 1)
    assert (seen[:, -1] == 1).all()
    grid = seen[:, :-1].reshape(60, 2 * REACH + 1, per_frame)
    # Unit frame 20 stands at motion frame 10: what it sees 3 frames ahead is what unit frame 26 sees at its own moment.
    torch.testing.assert_close(grid[20, REACH + 3], grid[26, REACH])
    torch.testing.assert_close(grid[21, REACH], (grid[20, REACH] + grid[22, REACH]) / 2, atol=1e-4, rtol=1e-4)
    nodding = motion.clone()
    nodding[:, 52:] += 1
    torch.testing.assert_close(windows(nodding, 25.0, 60), seen)
    assert grid[:, REACH].std(0).max() < 3  # scores, not metres
