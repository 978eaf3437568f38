"""What a deterministic animator is trained to do: come near the true vertices, frame after frame, and please its guides."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from stages.heads.head import Head
from stages.losses.geometry import mean_square
from stages.models.animator import Animator
from stages.models.precision import full_precision
from stages.training.augmentation import vary_recording
from stages.training.windows import WindowBatch


class AnimatorObjective(nn.Module):
    """Loss terms of a batch of windows; the animator inside is what is trained.

    The published objective is the mean square error of the vertices. It is divided by their variance, so that 1 means
    "explain all of it" whatever the unit, which changes nothing for Adam. A head may have features that move few vertices
    or that only together mean something, such as lids and gaze; `weight_features` asks for them by name, and is ours. An
    architecture may have terms of its own, which are added as published: `Animator.estimate`.

    A guide judges the motion that was made, whatever made it: a module called with the motion (B, T, D), not normalised, in
    full precision and with its gradient, and the `WindowBatch`; it returns one number. Guides judge in training alone, and
    what they have to learn is trained along.

    Args:
        vertices: indices (M,) of those that are compared.
        scale: root mean square of their distance from the mean face, over the training clips.
        teacher_forcing: feed each frame the true frame before, not the model's own, where the architecture leaves that open.
        drop_subject: how often the speaker is not told.
        guides: name -> guide, and how much it weighs.
    """

    vertices: Tensor

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
        guides: Mapping[str, tuple[nn.Module, float]] | None = None,
    ) -> None:
        super().__init__()
        self.animator = animator
        self.head = head
        self.scale = scale
        self.weight_features = weight_features
        self.teacher_forcing = teacher_forcing
        self.drop_subject = drop_subject
        self.guides = nn.ModuleDict({name: guide for name, (guide, _) in (guides or {}).items()})
        self.guide_weights = {name: weight for name, (_, weight) in (guides or {}).items()}
        self.register_buffer("vertices", vertices, persistent=False)

    def forward(self, batch: WindowBatch, subject: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise. `subject` (B,) as of `Animator.forward`."""
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
        estimate, own = animator.estimate(memory, subject, truth, batch.mask, forced=forced)
        with full_precision(sound.device):
            motion = animator.restore(estimate.float())
            moved = self.head.vertices(motion, indices=self.vertices)
            true = self.head.vertices(batch.motion, indices=self.vertices)
            terms = {
                "vertices": mean_square((moved - true) / self.scale, batch.mask).mean(),
                "features": mean_square(estimate.float() - truth, batch.mask).mean(),
            } | own
            loss = terms["vertices"] + self.weight_features * terms["features"]
            for value in own.values():
                loss = loss + value
            for name, guide in self.guides.items() if self.training else ():
                terms[name] = cast(Tensor, guide(motion, batch))
                loss = loss + self.guide_weights[name] * terms[name]
        return {"loss": loss} | terms
