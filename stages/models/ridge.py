"""The floor of mesh-to-speech: ridge regression from a few frames of the mouth to the mel and the unit of one moment.

A linear answer to the same question, in closed form. A network that hears no better has learned nothing that a matrix
does not know.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.audio.speech_units import UNIT_RATE_HZ
from stages.heads.head import Head, region_indices
from stages.models.resampling import read_at

# Motion frames to either side of the moment that the regression sees.
REACH = 5
_NUM_COMPONENTS = 32
# Penalties to choose from, as shares of the mean eigenvalue of the inputs' covariance.
_PENALTIES = tuple(10.0**power for power in range(-6, 2))
_MAX_FRAMES_FOR_COMPONENTS = 8_000


class MouthWindows:
    """What the regression sees: principal components of the mouth's vertices, in a window about each 50 Hz frame."""

    def __init__(self, head: Head, motions: Sequence[Tensor]) -> None:
        """Finds the components in some training motions, (T, D) each."""
        self.head = head
        self.indices = region_indices(head.record, "mouth")
        frames = torch.cat(list(motions))
        # Evenly spread over the clips, as many as a covariance needs.
        frames = frames[:: max(1, len(frames) // _MAX_FRAMES_FOR_COMPONENTS)]
        mouth = self._mouth(frames)
        self.mean = mouth.mean(0)
        centred = mouth - self.mean
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
        keep = min(_NUM_COMPONENTS, len(variances))
        scales = variances[-keep:].clamp_min(1e-6 * float(variances[-1].clamp_min(1e-20))).sqrt()
        self.directions = directions[:, -keep:] / scales  # (3 M, P), scores of unit variance

    def _mouth(self, motion: Tensor) -> Tensor:
        return self.head.vertices(motion, indices=self.indices, pose=False).flatten(-2)  # (T, 3 M)

    def __call__(self, motion: Tensor, fps: float, num_frames: int) -> Tensor:
        """(T, D) -> (num_frames, (2 REACH + 1) P + 1) at 50 Hz; the last column is 1."""
        scores = (self._mouth(motion) - self.mean) @ self.directions  # (T, P)
        moments = torch.arange(num_frames) * (fps / UNIT_RATE_HZ)
        offsets = torch.arange(-REACH, REACH + 1)
        window = read_at(scores[None], (moments[:, None] + offsets).flatten())[0]
        return torch.cat([window.reshape(num_frames, -1), torch.ones(num_frames, 1)], dim=1)


@dataclass(frozen=True)
class Ridge:
    """Predicts targets (n, C) of inputs (n, F): `inputs @ weights`.

    Attributes:
        weights: (F, C).
        penalty: chosen on validation data, as a share of the mean eigenvalue of the inputs' covariance.
    """

    weights: Tensor
    penalty: float


def fit_ridge(
    training: Iterable[tuple[Tensor, Tensor]], validation: Sequence[tuple[Tensor, Tensor]], *, criterion: slice
) -> Ridge:
    """Weights that minimise the squared error on `training` plus a penalty on their squares.

    Args:
        training: pairs of inputs (n, F), whose last column is 1 and is not penalised, and targets (n, C); read once, so
            that they need not all fit in memory.
        validation: pairs of people who are not in `training`; the penalty with the smallest mean absolute error wins.
        criterion: the columns of the targets whose error is looked at.

    Raises:
        ValueError: no training or no validation pair.

    Source: Hoerl and Kennard, "Ridge Regression", 1970.
    """
    gram: Tensor | None = None
    for inputs, targets in training:
        x, y = inputs.double(), targets.double()
        if gram is None:
            gram, product = x.new_zeros(x.shape[1], x.shape[1]), x.new_zeros(x.shape[1], y.shape[1])
            total = 0
        gram += x.T @ x
        product += x.T @ y
        total += len(x)
    if gram is None or not validation:
        raise ValueError("ridge regression wants at least one training and one validation pair")
    # Centring takes the constant column, which bears no penalty, out of the equations.
    mean, target_mean = gram[-1, :-1] / total, product[-1] / total
    covariance = gram[:-1, :-1] / total - mean[:, None] * mean
    cross = product[:-1] / total - mean[:, None] * target_mean
    values, vectors = torch.linalg.eigh(covariance)
    values, rotated = values.clamp_min(0), vectors.T @ cross

    def solve(penalty: float) -> Tensor:
        slopes = vectors @ (rotated / (values + penalty * values.mean().clamp_min(1e-12))[:, None])
        return torch.cat([slopes, (target_mean - mean @ slopes)[None]]).float()

    def error(weights: Tensor) -> float:
        found = [(x @ weights[:, criterion] - y[:, criterion]).abs().mean(1).sum() for x, y in validation]
        return float(torch.stack(found).sum())

    candidates = [Ridge(solve(penalty), penalty) for penalty in _PENALTIES]
    return min(candidates, key=lambda ridge: error(ridge.weights))
