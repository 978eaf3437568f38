"""FaceFormer: frame after frame of motion from speech and from the motion so far, always the same for the same speech.

The published network maps offsets of all vertices to a few dimensions and back. Here motion features stand between: a head
turns them into vertices, as the published output layer does, and the network is of the same size for every mesh. The output
layer of a published checkpoint has as many directions as the network has dimensions, and one more for its bias; they become
the shapes of a head, so that nothing is lost (`stages.models.faceformer_import`).

Source: Fan, Lin, Saito, Wang, Komura, "FaceFormer: Speech-Driven 3D Facial Animation with Transformers", CVPR 2022.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from stages.audio.pretrained import PretrainedSpeech
from stages.models.animator import Animator, AnimatorConfig


class FaceFormerConfig(AnimatorConfig):
    """The numbers that rebuild the network; the defaults are those published for VOCASET."""

    animator: Literal["faceformer"] = "faceformer"


class FaceFormer(Animator):
    """The decoder's output, mapped to motion by one layer that starts at zero."""

    def __init__(self, config: FaceFormerConfig, network: PretrainedSpeech | None = None) -> None:
        super().__init__(config, network)
        self.out = nn.Linear(config.dim, config.num_features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, memory: Tensor, subject: Tensor, *, before: Tensor | None = None) -> Tensor:
        """See `Animator.forward`."""
        if before is not None:
            return self.out(self.follow(memory, subject, before))
        frames: list[Tensor] = []

        def say(decoded: Tensor) -> Tensor:
            frames.append(self.out(decoded))
            return frames[-1]

        self.lead(memory, subject, say)
        return torch.cat(frames, dim=1)

    def estimate(
        self, memory: Tensor, subject: Tensor, truth: Tensor, mask: Tensor, *, fed: Tensor, forced: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Its motion, fed by its own or, where `forced`, by the true; see `Animator.estimate`."""
        return self(memory, subject, before=fed if forced else None), {}
