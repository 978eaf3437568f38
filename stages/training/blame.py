"""Which clip of a batch made a loss what is not a number."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from stages.training.clips_in_memory import TrainingClip


def worst_clip(ids: Sequence[str], losses: Sequence[float]) -> str:
    """Which clip of a batch has the greatest loss, one that is not a number before all.

    Where that is so of every clip, no clip is to blame but the weights: all are named.
    """
    good = [math.isfinite(loss) for loss in losses]
    if not any(good):
        some = list(dict.fromkeys(ids))
        return ", ".join(some[:3]) + (f" and {len(some) - 3} more" if len(some) > 3 else "") + ", all of the batch"
    return ids[max(range(len(losses)), key=lambda k: losses[k] if good[k] else math.inf)]


@torch.no_grad()
def worst_window(clips: Sequence[TrainingClip], model: nn.Module, drawn: tuple[Any, ...]) -> str:
    """`worst_clip` of a batch of windows, of which each is tried alone.

    Args:
        drawn: a `WindowBatch` of the clips, what is told of each window, dice, and the `Extracts` of the batch, if any.
    """
    batch, *told, dice, extracts = drawn
    losses = []
    for k in range(len(batch.clip)):
        read = None if extracts is None else extracts.of_window(k)
        terms = model(batch.item(k), *(values[k : k + 1] for values in told), dice, read)
        losses.append(float(terms["loss"]))
    return worst_clip([clips[k].id for k in batch.clip.tolist()], losses)
