"""Vertices of a long motion, a few frames at a time, so that memory does not grow with its length."""

from collections.abc import Iterator

import numpy as np
import torch

from stages.heads.head import FlameHead, LinearHead

# Coordinates computed at once: 16 MiB.
_BLOCK_SIZE = 1 << 22


def vertex_blocks(
    head: LinearHead | FlameHead, motion: np.ndarray, template: np.ndarray, *, pose: bool = True
) -> Iterator[np.ndarray]:
    """Vertices (t, V, 3) of a motion (T, D) on the face `template` (V, 3), with head pose if not said otherwise."""
    rest = torch.from_numpy(template)
    with torch.inference_mode():
        for frames in torch.from_numpy(motion).split(max(1, _BLOCK_SIZE // rest.numel())):
            yield head.vertices(frames, template=rest, pose=pose).numpy()
