"""K-means on clusters that anyone can tell apart; features that hear the sound and not its volume."""

import pytest
import torch

from stages.audio.speech_units import assign_units, fit_units, unit_features


@pytest.fixture
def clusters() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    labels = torch.randint(4, (200,), generator=generator)
    return centres[labels] + torch.randn(200, 2, generator=generator) * 0.3, labels


@pytest.mark.parametrize("seed", range(5))
def test_separable_clusters_are_found(clusters: tuple[torch.Tensor, torch.Tensor], seed: int) -> None:
    points, labels = clusters
    centroids = fit_units(points, 4, seed=seed)
    for label in range(4):
        mean = points[labels == label].mean(0)
        assert (centroids - mean).norm(dim=-1).min() < 1e-4
    assert torch.equal(centroids, fit_units(points, 4, seed=seed))


def test_assignment_equals_brute_force() -> None:
    generator = torch.Generator().manual_seed(1)
    points, centroids = torch.randn(50, 7, generator=generator), torch.randn(9, 7, generator=generator)
    expected = [min(range(9), key=lambda k: float((point - centroids[k]).norm())) for point in points]
    assert assign_units(points, centroids).tolist() == expected


def test_no_iteration_makes_clusters_worse() -> None:
    points = torch.randn(300, 3, generator=torch.Generator().manual_seed(2))

    def spread(num_iterations: int) -> float:
        centroids = fit_units(points, 8, seed=0, num_iterations=num_iterations)
        return float((points[:, None] - centroids).square().sum(-1).amin(1).sum())

    spreads = [spread(n) for n in (0, 1, 2, 5, 20)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.9 * spreads[0]


def test_fewer_distinct_points_than_units_still_ends() -> None:
    centroids = fit_units(torch.zeros(10, 2), 4, seed=0)
    assert centroids.shape == (4, 2)
    assert torch.isfinite(centroids).all()


def test_features_do_not_hear_volume_or_microphone() -> None:
    mel = torch.randn(101, 80, generator=torch.Generator().manual_seed(3))
    features = unit_features(mel)
    assert features.shape == (50, 26)
    torch.testing.assert_close(features.mean(0), torch.zeros(26), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(26), atol=1e-3, rtol=0)
    colour = torch.linspace(-2, 3, 80)  # a constant added to log-mels is a filter
    torch.testing.assert_close(unit_features(mel + colour), features, atol=1e-3, rtol=0)


def test_silence_has_finite_features() -> None:
    assert torch.isfinite(unit_features(torch.full((40, 80), -11.5))).all()


def test_slopes_tell_rising_from_falling() -> None:
    level = 50 - (torch.arange(100.0) - 50).abs()
    slope = unit_features(level[:, None].expand(100, 80))[:, 13]  # of the first cepstrum, the loudness
    assert (slope[3:22] > 0.8).all()
    assert (slope[28:47] < -0.8).all()
