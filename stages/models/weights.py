"""Weights of a network as named arrays, and back, strictly."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stages.runtime.errors import ThunderError


def arrays_of_weights(weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Name -> array, in float32 or, where they are so already, in float16."""
    return {
        name: (value if value.dtype == torch.float16 else value.float()).detach().cpu().numpy()
        for name, value in weights.items()
    }


def load_weights(model: nn.Module, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Copies arrays into the parameters and buffers of the same names; half precision is widened.

    Raises:
        ThunderError: a name is missing or too many, or a shape differs; the first one is named.
    """
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    missing, unknown = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which this network does not"
        raise ThunderError(
            f"{path}: {what} ({len(missing)} missing, {len(unknown)} unknown); "
            f"it was made by another version of the toolkit, train it again"
        )
    with torch.no_grad():
        for name, target in own.items():
            if target.shape != arrays[name].shape:
                raise ThunderError(f"{path}: {name} wanted shape {tuple(target.shape)}, found {arrays[name].shape}")
            target.copy_(torch.from_numpy(arrays[name]).to(target.dtype))
