"""What a recogniser is trained to do."""

import torch.nn.functional as F
from torch import Tensor, nn

from stages.metrics.phone_confusions import UNKNOWN
from stages.models.characters import BLANK
from stages.models.recogniser import Recogniser
from stages.training.transcribed_clips import SpeechBatch


class RecogniserObjective(nn.Module):
    """Loss terms of a batch of clips; the network inside is what is trained.

    Args:
        phone_weight: of the phones' cross-entropy beside CTC, both in nats: a frame's, and a character's.
    """

    def __init__(self, network: Recogniser, phone_weight: float) -> None:
        super().__init__()
        self.network = network
        self.phone_weight = phone_weight

    def forward(self, batch: SpeechBatch) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise."""
        reading = self.network(batch.log_mel)
        # Not the mean over clips of PyTorch's own reduction: every character counts the same.
        ctc = (
            F.ctc_loss(
                reading.characters.transpose(0, 1),
                batch.characters,
                batch.num_labels,
                batch.num_characters,
                blank=BLANK,
                reduction="sum",
            )
            / batch.num_characters.sum()
        )
        known = batch.phones != UNKNOWN
        # A sum over the known ones: the mean over none would not be a number.
        misses = F.nll_loss(reading.phones.transpose(1, 2), batch.phones, ignore_index=UNKNOWN, reduction="sum")
        phones = misses / known.sum().clamp_min(1)
        right = ((reading.phones.argmax(-1) == batch.phones) & known).sum() / known.sum().clamp_min(1)
        return {
            "loss": ctc + self.phone_weight * phones,
            "ctc": ctc,
            "phones": phones,
            "phone_accuracy": right.detach(),
        }
