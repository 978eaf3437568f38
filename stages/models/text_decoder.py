"""A transformer that writes a text label by label, attending to what a reader has seen and heard.

Source: Vaswani et al., "Attention Is All You Need", 2017, with the norm before each sublayer, as in Auto-AVSR's decoder.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.models.relative_conformer import sinusoids


class TextDecoder(nn.Module):
    """Logits of the next label after every prefix of a text."""

    def __init__(
        self,
        num_labels: int,
        dim: int,
        num_layers: int,
        *,
        num_heads: int,
        dropout: float,
        expansion: int = 4,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.embedding = nn.Embedding(num_labels, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                dim,
                num_heads,
                expansion * dim,
                dropout,
                batch_first=True,
                norm_first=True,
                activation="relu",
                layer_norm_eps=epsilon,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim, eps=epsilon)
        self.to_labels = nn.Linear(dim, num_labels)

    def forward(self, labels: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """(B, U) labels before, (B, T, dim) memory, (B, T) True where it is real -> (B, U, num_labels)."""
        places = torch.arange(labels.shape[1], device=labels.device)
        x = self.dropout(self.embedding(labels) * math.sqrt(self.dim) + sinusoids(places, self.dim))
        later = places[:, None] < places
        for layer in self.layers:
            x = layer(x, memory, tgt_mask=later, memory_key_padding_mask=~mask)
        return self.to_labels(self.norm(x))


_NONE = -100


def log_probabilities(
    decoder: Callable[[Tensor, Tensor, Tensor], Tensor], texts: Sequence[Sequence[int]], memory: Tensor, end: int
) -> Tensor:
    """How likely a decoder finds whole texts of one clip, their ends with them, in one batch.

    Args:
        decoder: as `TextDecoder.forward`.
        texts: labels of each of N; none is allowed.
        memory: (T, dim), all of it real.
        end: the label that ends a text, and begins it too.

    Returns:
        (N,) natural logarithms.
    """
    shape = len(texts), max(map(len, texts)) + 1
    before, wanted = torch.full(shape, end), torch.full(shape, _NONE)
    for row, text in enumerate(texts):
        labels = torch.tensor(text, dtype=torch.long)
        before[row, 1 : len(text) + 1] = labels
        wanted[row, : len(text) + 1] = torch.cat([labels, torch.tensor([end])])
    real = torch.ones(shape[0], len(memory), dtype=torch.bool, device=memory.device)
    logits = decoder(before.to(memory.device), memory.expand(shape[0], -1, -1), real).float()
    surprise = F.cross_entropy(logits.transpose(1, 2), wanted.to(memory.device), ignore_index=_NONE, reduction="none")
    return -surprise.sum(1)
