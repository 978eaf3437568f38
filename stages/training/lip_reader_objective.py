"""What a lip reader is trained to do: write the transcript, also when one of its senses is withheld."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.losses.lip_reading import attention_cross_entropy, ctc_per_character
from stages.metrics.phone_confusions import UNKNOWN
from stages.metrics.visemes import PHONES
from stages.models.lip_reader import LipReader
from stages.training.lip_clips import LipBatch


@dataclass(frozen=True)
class LipReaderWeights:
    """Weights of the loss terms, all in nats. Han et al. have .1 and .9, for an expert that reads already; ours begins from
    nothing, and learns where sounds are before it can spell: from the phones of a corpus that has their times."""

    ctc: float = 0.5
    attention: float = 0.5
    phones: float = 1.0


@dataclass(frozen=True)
class ModalityDropout:
    """How often a clip is read with its sound withheld, and with its picture."""

    sound: float = 0.5
    picture: float = 0.1


class LipReaderObjective(nn.Module):
    """Loss terms of a batch of clips; the network inside is what is trained. What names the phones is not kept."""

    def __init__(self, network: LipReader, weights: LipReaderWeights, dropout: ModalityDropout) -> None:
        super().__init__()
        self.network = network
        self.weights = weights
        self.dropout = dropout
        config = network.config
        self.to_phones = nn.Linear(config.dim, config.labels_per_frame * len(PHONES))

    def forward(self, batch: LipBatch, *, heard: bool = True) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise.

        Args:
            heard: False withholds the sound of all clips. In training each clip's fate is drawn besides.
        """
        network, config = self.network, self.network.config
        lot = torch.rand(len(batch.mask)).to(batch.mask.device) if self.training else None
        reading = network(
            batch.crops,
            batch.sound if heard else None,
            batch.mask,
            seen=None if lot is None else lot < 1 - self.dropout.picture,
            heard=None if lot is None else lot >= self.dropout.sound,
        )
        ctc = ctc_per_character(reading, batch.mask, batch.characters, batch.num_characters, config)
        attention = attention_cross_entropy(network, reading, batch.mask, batch.characters, batch.num_characters)
        logits = self.to_phones(reading.features).float().unflatten(-1, (config.labels_per_frame, -1)).flatten(1, 2)
        known = batch.phones != UNKNOWN
        # A sum over the known ones: the mean over none would not be a number.
        misses = F.cross_entropy(logits.transpose(1, 2), batch.phones, ignore_index=UNKNOWN, reduction="sum")
        phones = misses / known.sum().clamp_min(1)
        right = ((logits.argmax(-1) == batch.phones) & known).sum() / known.sum().clamp_min(1)
        weights = self.weights
        # Every character of a batch counts the same.
        share = batch.num_characters / batch.num_characters.sum()
        ctc, attention = (ctc * share).sum(), (attention * share).sum()
        loss = weights.ctc * ctc + weights.attention * attention + weights.phones * phones
        return {"loss": loss, "ctc": ctc, "attention": attention, "phones": phones, "phone_accuracy": right.detach()}
