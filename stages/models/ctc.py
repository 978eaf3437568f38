"""Connectionist temporal classification (CTC): from log-probabilities of every frame to a sequence of labels.

A path names a label or the blank in every frame; it spells what remains when repetitions are merged and blanks removed.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006; prefix beam search after Hannun et al.,
"First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs", 2014, without a
language model.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.models.characters import BLANK

# Labels less likely than this in a frame open no new prefix: they would be pruned a frame later.
_LEAST_LOG_PROBABILITY = -9.0


def frames_needed(labels: Sequence[int]) -> int:
    """The shortest path that spells `labels`: one frame each, and a blank between two of a kind."""
    return len(labels) + sum(a == b for a, b in pairwise(labels))


def greedy_labels(log_probs: Tensor) -> list[int]:
    """What the likeliest path of (n, C) spells."""
    path = log_probs.argmax(-1).unique_consecutive()
    return path[path != BLANK].tolist()


@torch.enable_grad()
def expected_frames(log_probs: Tensor, labels: Sequence[int]) -> Tensor:
    """When each label of a known sequence is spelled: the mean frame (U,) over all paths that spell it, by their probability.

    Every place in the sequence is given a label of its own, of which the loss's gradient then tells how likely each frame
    names it. (Two of a kind in a row want no blank between them here, as they would when reading.)

    Args:
        log_probs: (n, C) natural logarithms, n at least U.
        labels: U of them, without blanks.
    """
    columns = torch.tensor([BLANK, *labels], device=log_probs.device)
    # The scale of a frame is the same for all paths.
    scores = log_probs.detach()[:, columns].double().requires_grad_()  # (n, 1 + U)
    places = torch.arange(1, len(columns), device=log_probs.device)
    num_frames, num_places = (torch.tensor(len(x), device=log_probs.device) for x in (scores, places))
    loss = F.ctc_loss(scores.log_softmax(-1), places, num_frames, num_places, blank=BLANK, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, scores)
    spelled = (scores.detach().softmax(-1) - gradient)[:, 1:].clamp_min(0)  # (n, U)
    frames = torch.arange(len(scores), dtype=spelled.dtype, device=spelled.device)
    return ((frames @ spelled) / spelled.sum(0).clamp_min(1e-12)).float()


def beam_search(log_probs: Tensor, width: int) -> list[int]:
    """The sequence whose paths together are likeliest; see `likeliest_texts`."""
    return likeliest_texts(log_probs, width)[0][0]


def likeliest_texts(log_probs: Tensor, width: int) -> list[tuple[list[int], float]]:
    """Sequences by how likely their paths are together, as far as `width` prefixes kept after every frame find them.

    Frames follow each other, so that this loops over them; prefixes of one frame are few.

    Args:
        log_probs: (n, C) natural logarithms.
        width: prefixes kept.

    Returns:
        Up to `width` sequences with the logarithm of their probability, the likeliest first; what paths of pruned prefixes
        would add to it is missing.
    """
    frames = log_probs.cpu().double().numpy()
    # Prefix -> log-probability of its paths that end in a blank, and in its last label.
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    for frame in frames:
        likely = [int(c) for c in np.flatnonzero(frame > _LEAST_LOG_PROBABILITY) if c != BLANK]
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-np.inf, -np.inf])
        for prefix, (blank, label) in beam.items():
            total = np.logaddexp(blank, label)
            stays = grown[prefix]
            stays[0] = np.logaddexp(stays[0], total + frame[BLANK])
            if prefix:
                stays[1] = np.logaddexp(stays[1], label + frame[prefix[-1]])
            for c in likely:
                # A second label of a kind begins only after a blank; without one it is the first going on.
                before = blank if prefix and c == prefix[-1] else total
                longer = grown[(*prefix, c)]
                longer[1] = np.logaddexp(longer[1], before + frame[c])
        best = sorted(grown.items(), key=lambda entry: -np.logaddexp(entry[1][0], entry[1][1]))[:width]
        beam = {prefix: (blank, label) for prefix, (blank, label) in best}
    return [(list(prefix), float(np.logaddexp(blank, label))) for prefix, (blank, label) in beam.items()]
