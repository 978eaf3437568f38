"""What a mesh-to-speech model is trained to do."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.heads.head import Head
from stages.losses.speech import mel_l1, spectral_convergence, unit_accuracy, unit_cross_entropy
from stages.models.mesh_to_speech import MeshToSpeech, describe_speaker, look_at
from stages.training.windows import WindowBatch


@dataclass(frozen=True)
class M2SWeights:
    """Weights of the loss terms; Choi et al. use 1 and 10 (their L1 and convergence share the 10)."""

    units: float = 1.0
    mel: float = 10.0
    convergence: float = 10.0


class M2SObjective(nn.Module):
    """Loss terms of a batch of windows; the network inside is what is trained."""

    def __init__(self, network: MeshToSpeech, head: Head, weights: M2SWeights, *, input_noise: float) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.weights = weights
        self.input_noise = input_noise

    def forward(self, batch: WindowBatch, fps: float) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise."""
        network = self.network
        visible = look_at(network, self.head, batch.motion)
        if self.training:
            # Tracked and generated faces are noisier than true ones; a judge must not stumble over that.
            visible = visible + self.input_noise * network.input_scale * torch.randn_like(visible)
        target = network.normalise_mel(batch.log_mel)
        # The voice is told in most windows, so that the mel head need not guess it, and withheld in some, so that it
        # can do without.
        told = (torch.rand(len(target), 1, device=target.device) < 0.8).float() if self.training else 1.0
        heard = network(visible, fps, target.shape[1], describe_speaker(target) * told)
        units = unit_cross_entropy(heard.unit_logits, batch.units, batch.mel_mask[:, ::2]).mean()
        mel = mel_l1(heard.log_mel, target, batch.mel_mask).mean()
        convergence = spectral_convergence(
            heard.log_mel * batch.mel_mask[..., None], target * batch.mel_mask[..., None]
        ).mean()
        accuracy = unit_accuracy(heard.unit_logits, batch.units, batch.mel_mask[:, ::2]).mean()
        loss = self.weights.units * units + self.weights.mel * mel + self.weights.convergence * convergence
        return {
            "loss": loss,
            "units": units,
            "mel": mel,
            "convergence": convergence,
            "unit_accuracy": accuracy.detach(),
        }
