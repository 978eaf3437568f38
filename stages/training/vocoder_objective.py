"""What a vocoder is trained to do: sound like the recording, and, after a while, persuade its critics."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.losses.vocoding import critics_loss, feature_matching, mel_distance, persuasion_loss, stft_distance
from stages.models.precision import full_precision
from stages.models.vocoder import Vocoder
from stages.models.vocoder_critics import Critics, Opinion
from stages.training.spoken_segments import SegmentBatch


@dataclass(frozen=True)
class VocoderWeights:
    """Weights of the generator's loss terms; HiFi-GAN's, which has no STFT term."""

    mel: float = 45.0
    stft: float = 0.0
    persuasion: float = 1.0
    features: float = 2.0


class VocoderObjective(nn.Module):
    """Loss terms of a batch of segments; generator and critics learn in one step.

    The generator is judged by critics that stand still (their weights are detached), and the critics learn from sound that
    stands still, so that one sum has the gradients of both games and one optimiser plays them. Before `critics_from`
    steps the critics are silent; the number of steps taken is a parameter that is not trained, so that a training which
    goes on knows it.
    """

    def __init__(self, network: Vocoder, critics: Critics, weights: VocoderWeights, *, critics_from: int) -> None:
        super().__init__()
        self.network = network
        self.critics = critics
        self.weights = weights
        self.critics_from = critics_from
        self.steps_taken = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, batch: SegmentBatch) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise."""
        made = self.network(batch.log_mel, batch.units, batch.voice)  # (B, S)
        with full_precision(made.device):
            mel, stft = mel_distance(made, batch.waveform), stft_distance(made, batch.waveform)
        terms = {"loss": self.weights.mel * mel + self.weights.stft * stft, "mel": mel, "stft": stft}
        if not self.training:
            return terms
        self.steps_taken.add_(1)
        if self.steps_taken > self.critics_from:
            terms |= self._game(made, batch.waveform)
            terms["loss"] = (
                terms["loss"]
                + self.weights.persuasion * terms["persuasion"]
                + self.weights.features * terms["features"]
                + terms["critics"]
            )
        else:
            # Every parameter has a gradient from the first step on, as the optimiser's saved state expects.
            terms["loss"] = terms["loss"] + 0 * torch.stack([p.sum() for p in self.critics.parameters()]).sum()
        return terms

    def _game(self, made: Tensor, recorded: Tensor) -> dict[str, Tensor]:
        """What the critics lose, and what the generator loses before critics that stand still."""
        both: list[Opinion] = self.critics(torch.cat([recorded, made.detach()]))
        still = {name: p.detach() for name, p in self.critics.named_parameters()}
        of_made: list[Opinion] = torch.func.functional_call(self.critics, still, (made,))
        with full_precision(made.device):
            return {
                "critics": critics_loss([_halves(o.score)[0] for o in both], [_halves(o.score)[1] for o in both]),
                "persuasion": persuasion_loss([o.score.float() for o in of_made]),
                "features": feature_matching(
                    [[_halves(f)[0] for f in o.features] for o in both], [o.features for o in of_made]
                ),
            }


def _halves(of_both: Tensor) -> tuple[Tensor, Tensor]:
    """What is of the recorded, and what of the made."""
    recorded, made = of_both.float().chunk(2)
    return recorded, made
