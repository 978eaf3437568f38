"""How far takes of the same speech lie apart."""

import torch
from torch import Tensor


def sample_diversity(takes: Tensor) -> Tensor:
    """S-DIV: mean over pairs of takes, frames and vertices of the L2 distance. Over clips: the mean.

    Over the upper face, which speech does not determine, more is better within what is human; over the lower face and the
    lips, which it does, less is better. The seeds print S-DIV without its formula; the definition is ours. It does not grow
    with N.

    Args:
        takes: (N, T, V, 3), N takes of one clip without head pose, head units.

    Returns:
        (), head units; NaN for one take.
    """
    num_takes = len(takes)
    if num_takes < 2:
        return takes.new_tensor(torch.nan)
    later = [torch.linalg.vector_norm(takes[k + 1 :] - takes[k], dim=-1).mean((-2, -1)).sum() for k in range(num_takes)]
    return torch.stack(later).sum() / (num_takes * (num_takes - 1) / 2)
