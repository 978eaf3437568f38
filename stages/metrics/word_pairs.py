"""Whether two words can be told apart by what a reader finds of them."""

import torch
from torch import Tensor


def told_apart(first: Tensor, second: Tensor) -> float:
    """Share of occurrences that lie nearer to the mean of the others of their own word than to that of the other word.

    The mean over both words, so that one half is chance, however often each occurs.

    Args:
        first, second: (n, C), (m, C) features of their occurrences, two or more each.
    """
    shares = []
    for own, other in ((first, second), (second, first)):
        others_of_own = (own.sum(0) - own) / (len(own) - 1)
        shares.append(((own - others_of_own).norm(dim=1) < (own - other.mean(0)).norm(dim=1)).float().mean())
    return float(torch.stack(shares).mean())


def on_a_plane(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The same points where both words together spread most: (n, 2), (m, 2)."""
    together = torch.cat([first, second])
    centred = together - together.mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:2]  # (2, C)
    # The same points make the same picture, whichever sign the decomposition chose.
    directions = directions * directions.sum(1, keepdim=True).sign().where(directions.sum(1, keepdim=True) != 0, 1)
    flat = centred @ directions.T
    return flat[: len(first)], flat[len(first) :]
