"""What a mesh-to-speech model is trained to do."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.heads.head import Head
from stages.losses.speech import mel_l1, spectral_convergence, unit_accuracy, unit_cross_entropy
from stages.models.mesh_to_speech import MeshToSpeech, look_at
from stages.models.precision import full_precision
from stages.models.speaker_encoder import SpeakerClassifier
from stages.training.face_augmentation import (
    FaceAugmentation,
    add_noise,
    hide_for_a_moment,
    jitter_features,
    turn_face,
    vary_speed,
)
from stages.training.windows import WindowBatch

# The voice is told in most windows, so that the mel head need not guess it, and withheld in some, so that it can do without.
_VOICE_TOLD = 0.8


@dataclass(frozen=True)
class M2SWeights:
    """Weights of the loss terms; Choi et al. use 1 and 10 (their L1 and convergence share the 10)."""

    units: float = 1.0
    mel: float = 10.0
    convergence: float = 10.0
    speaker: float = 0.2


class M2SObjective(nn.Module):
    """Loss terms of a batch of windows; the network inside is what is trained.

    Args:
        motion_scale: (D,) deviation of each motion feature.
        num_speakers: of the training split; with fewer than two there is nobody to tell apart.
    """

    motion_scale: Tensor

    def __init__(
        self,
        network: MeshToSpeech,
        head: Head,
        weights: M2SWeights,
        augmentation: FaceAugmentation,
        *,
        motion_scale: Tensor,
        num_speakers: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.weights = weights
        self.augmentation = augmentation
        self.register_buffer("motion_scale", motion_scale, persistent=False)
        told_apart = num_speakers > 1 and weights.speaker > 0
        self.classifier = SpeakerClassifier(network.config.voice_dim, num_speakers) if told_apart else None

    def forward(
        self,
        batch: WindowBatch,
        fps: float,
        num_frames: int,
        voice_mel: Tensor | None = None,
        speaker: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise.

        Args:
            batch: windows without context, longer than `num_frames` by the share that speeds vary by.
            num_frames: T of what is heard.
            voice_mel: (B, L', 80) another recording of each window's speaker; the window's own speech where None.
            speaker: (B,) whose it is, to be told apart by it.
        """
        network = self.network
        num_mel_frames = int(num_frames / fps * 100) // 2 * 2
        batch = vary_speed(batch, num_frames, num_mel_frames, self.augmentation.speed if self.training else 0.0)
        with full_precision(batch.motion.device):
            visible = self._look(batch.motion, fps)
        target = network.normalise_mel(batch.log_mel)
        voice = network.describe_voice(target if voice_mel is None else network.normalise_mel(voice_mel))
        told = (torch.rand(len(target), 1) < _VOICE_TOLD).to(voice) if self.training else 1.0
        heard = network(visible, fps, num_mel_frames, voice * told)
        units = unit_cross_entropy(heard.unit_logits, batch.units, batch.mel_mask[:, ::2]).mean()
        mel = mel_l1(heard.log_mel, target, batch.mel_mask).mean()
        convergence = spectral_convergence(
            heard.log_mel * batch.mel_mask[..., None], target * batch.mel_mask[..., None]
        ).mean()
        accuracy = unit_accuracy(heard.unit_logits, batch.units, batch.mel_mask[:, ::2]).mean()
        loss = self.weights.units * units + self.weights.mel * mel + self.weights.convergence * convergence
        terms = {"units": units, "mel": mel, "convergence": convergence, "unit_accuracy": accuracy.detach()}
        if self.classifier is not None and speaker is not None:
            terms["speaker"] = self.classifier(voice.float(), speaker).mean()
            loss = loss + self.weights.speaker * terms["speaker"]
        return {"loss": loss, **terms}

    def _look(self, motion: Tensor, fps: float) -> Tensor:
        """What the model sees (B, T, input_size), as a tracker would show it while training."""
        network, augmentation = self.network, self.augmentation
        if not self.training:
            return look_at(network, self.head, motion)
        visible = look_at(network, self.head, jitter_features(motion, self.motion_scale, augmentation.jitter))
        if network.config.input != "exp2s":
            rest = torch.from_numpy(self.head.record.template).to(visible.device)[network.vertex_indices]
            visible = turn_face(visible, rest, augmentation.turn_rad)
        visible = add_noise(visible, network.input_scale, augmentation.noise)
        return hide_for_a_moment(visible, network.input_mean, fps, augmentation.hidden)
