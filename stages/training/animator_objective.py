"""What a deterministic animator is trained to do: come near the true vertices, frame after frame, and please its guides."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.heads.head import Head
from stages.losses.geometry import mean_square
from stages.losses.lip_reading import lip_vertices
from stages.models.animator import Animator
from stages.models.precision import full_precision
from stages.training.augmentation import vary_recording
from stages.training.clips_in_memory import TrainingClip
from stages.training.guidance import Guidance
from stages.training.spoken_words import Extracts
from stages.training.windows import WindowBatch

_CLIPS_FOR_STATISTICS = 50


class AnimatorObjective(nn.Module):
    """Loss terms of a batch of windows; the animator inside is what is trained.

    The published objective is the mean square error of the vertices. It is divided by their variance, so that 1 means
    "explain all of it" whatever the unit, which changes nothing for Adam. A head may have features that move few vertices
    or that only together mean something, such as lids and gaze; `weight_features` asks for them by name, and is ours. An
    architecture may have terms of its own, which are added as published: `Animator.estimate`.

    Those who hear and read judge the motion that was made, whatever made it; what they have to learn is trained along.

    Args:
        vertices: indices (M,) of those that are compared, and `lips` of those that are compared once more, in the same unit,
            with the weight `weight_lips`: L_rlv of Han et al., whose weight is 1.
        scale: root mean square of their distance from the mean face, over the training clips; see `spread_of`.
        teacher_forcing: feed each frame the true frame before, not the model's own, where the architecture leaves that open.
        drop_subject: how often the speaker is not told.
        fed_noise: standard deviation, in the model's scale, of noise on the true frames that are fed. Frames are so like those
            before that who is fed the truth learns to copy it, not to listen, and drifts when left to itself.
        guidance: who hears and reads what is made; None trains without.
    """

    vertices: Tensor
    lips: Tensor

    def __init__(
        self,
        animator: Animator,
        head: Head,
        *,
        vertices: Tensor,
        scale: float,
        weight_features: float,
        teacher_forcing: bool,
        drop_subject: float,
        fed_noise: float = 0.0,
        lips: Tensor | None = None,
        weight_lips: float = 0.0,
        guidance: Guidance | None = None,
    ) -> None:
        super().__init__()
        self.animator = animator
        self.head = head
        self.scale = scale
        self.weight_features = weight_features
        self.teacher_forcing = teacher_forcing
        self.drop_subject = drop_subject
        self.fed_noise = fed_noise
        self.weight_lips = weight_lips
        self.guidance = guidance
        self.register_buffer("vertices", vertices, persistent=False)
        self.register_buffer("lips", vertices[:0] if lips is None else lips, persistent=False)

    def forward(
        self, batch: WindowBatch, subject: Tensor, generator: torch.Generator, extracts: Extracts | None = None
    ) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise.

        Args:
            subject: (B,) as of `Animator.forward`.
            extracts: the words in the windows, where they can be read.
        """
        animator, sound = self.animator, batch.wide_sound
        if self.training:
            lots = torch.rand(2, len(subject), generator=generator).to(sound.device)
            subject = torch.where(lots[0] < self.drop_subject, 0, subject)
            # A user's network has heard more rooms and microphones than could be imitated on a spectrogram.
            if animator.config.speech_encoder == "mel":
                sound = torch.where((lots[1] < 0.85)[:, None, None], vary_recording(sound, generator), sound)
        truth = animator.normalise(batch.motion)
        memory = animator.encode_speech(sound, batch.first_frame_s, truth.shape[1])
        # What is watched while training is what sampling does.
        forced = self.teacher_forcing and self.training
        fed = truth[:, :-1]
        if self.training and self.fed_noise > 0:
            fed = fed + self.fed_noise * torch.randn(fed.shape, generator=generator).to(fed)
        estimate, own = animator.estimate(memory, subject, truth, batch.mask, fed=fed, forced=forced)
        with full_precision(sound.device):
            motion = animator.restore(estimate.float())
            indices = torch.cat([self.vertices, self.lips])
            moved, true = (self.head.vertices(x, indices=indices) / self.scale for x in (motion, batch.motion))
            num_vertices = len(self.vertices)
            terms = {
                "vertices": mean_square((moved - true)[:, :, :num_vertices], batch.mask).mean(),
                "features": mean_square(estimate.float() - truth, batch.mask).mean(),
            } | own
            loss = terms["vertices"] + self.weight_features * terms["features"]
            for value in own.values():
                loss = loss + value
            if self.weight_lips > 0:
                of_lips = torch.arange(num_vertices, len(indices), device=indices.device)
                terms["lips"] = lip_vertices(moved, true, of_lips, batch.mask).mean()
                loss = loss + self.weight_lips * terms["lips"]
        if self.guidance is not None:
            asked = torch.ones(len(motion), device=motion.device)
            added, found = self.guidance(motion, batch.motion, animator.config.fps, batch, extracts, asked, generator)
            loss = loss + added.mean()
            terms |= {name: value.mean() for name, value in found.items()}
        return {"loss": loss} | terms


@torch.no_grad()
def spread_of(head: Head, clips: Sequence[TrainingClip], vertices: Tensor) -> float:
    """Root mean square of the vertices' distance from their mean place, over every fifth frame of some clips."""
    motion = torch.cat([clip.motion[::5] for clip in clips[:_CLIPS_FOR_STATISTICS]])
    places = head.vertices(motion, indices=vertices)
    return max(float((places - places.mean(0)).square().mean().sqrt()), 1e-9)
