"""Speech units: which of K classes of sound is heard, 50 times a second.

Units are clusters of speech features, found without labels. Choi et al. cluster HuBERT's sixth layer, which
a user who has it may do (`pretrained.py`); here the features are our own: mel cepstra and their slopes, normalised over
the utterance so that a unit tells the sound and not the voice.
"""

import math

import torch
from torch import Tensor

UNIT_RATE_HZ = 50
_NUM_CEPSTRA = 13
NUM_UNIT_FEATURES = 2 * _NUM_CEPSTRA


def unit_features(log_mel: Tensor) -> Tensor:
    """Features that units are clusters of.

    Args:
        log_mel: (L, 80) of a whole utterance, 100 Hz.

    Returns:
        (L // 2, 26) at 50 Hz: 13 mel cepstra and their slopes over 80 ms, each with zero mean and unit variance.
    """
    num_bands = log_mel.shape[-1]
    bands = torch.arange(num_bands, device=log_mel.device) + 0.5
    orders = torch.arange(_NUM_CEPSTRA, device=log_mel.device)
    cosine = torch.cos(math.pi / num_bands * bands[:, None] * orders) * math.sqrt(2 / num_bands)  # (80, 13)
    cepstra = log_mel @ cosine  # (L, 13)
    padded = torch.cat([cepstra[:1].expand(4, -1), cepstra, cepstra[-1:].expand(4, -1)])
    slopes = padded[8:] - padded[:-8]
    features = torch.cat([cepstra, slopes], dim=-1)  # (L, 26)
    features = features[: len(features) // 2 * 2].unflatten(0, (-1, 2)).mean(1)  # (L // 2, 26)
    return (features - features.mean(0)) / features.std(0, correction=0).clamp_min(1e-3)


def fit_units(features: Tensor, num_units: int, *, seed: int, num_iterations: int = 30) -> Tensor:
    """K-means by Lloyd's iterations from a k-means++ start.

    Args:
        features: (n, C).
        num_units: K, at most n.

    Returns:
        Centroids (K, C).

    Source: Arthur, Vassilvitskii, "k-means++: The Advantages of Careful Seeding", 2007.
    """
    generator = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(features), (1,), generator=generator))
    chosen = [first]
    nearest = (features - features[first]).square().sum(-1)
    while len(chosen) < num_units:
        weights = nearest if nearest.sum() > 0 else torch.ones_like(nearest)
        chosen.append(int(torch.multinomial(weights.double(), 1, generator=generator)))
        nearest = torch.minimum(nearest, (features - features[chosen[-1]]).square().sum(-1))
    centroids = features[chosen].clone()
    for _ in range(num_iterations):
        units = assign_units(features, centroids)
        counts = torch.bincount(units, minlength=num_units)
        sums = torch.zeros_like(centroids).index_add_(0, units, features)
        # A cluster that lost all its points stays where it is.
        centroids = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp_min(1), centroids)
    return centroids


def assign_units(features: Tensor, centroids: Tensor) -> Tensor:
    """Index of the nearest centroid: (n, C), (K, C) -> (n,) int64."""
    return (centroids.square().sum(-1) - 2 * features @ centroids.T).argmin(-1)
