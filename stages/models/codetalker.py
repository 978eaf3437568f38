"""CodeTalker: speech to codes of motion, frame after frame, and the codes to motion.

FaceFormer's decoder (`stages.models.animator`) says features, not motion; the nearest codes of an autoencoder that was trained
before, on motion alone (`stages.models.motion_autoencoder`), stand for them, and its decoder makes motion of those, so that
nothing can be said that is not like the motion it has seen. What is fed back is the motion of the last frame, as it is decoded
from the codes so far.

The autoencoder's decoder sees all frames at once, so that every new frame changes all those before: unlike those of the other
decoder, its keys and values cannot be kept. It looks back over `decoded_frames` and no further, which for published weights
is the 600 frames that the released code can animate at most: up to there the animation is its own, and beyond it a frame
costs no more than the six hundredth.

Source: Xing, Xia, Zhang, Cun, Wang, Wong, "CodeTalker: Speech-Driven 3D Facial Animation with Discrete Motion Prior",
CVPR 2023.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from stages.audio.pretrained import PretrainedSpeech
from stages.losses.geometry import mean_square
from stages.models.animator import Animator, AnimatorConfig
from stages.models.motion_autoencoder import AutoencoderSizes, MotionAutoencoder, Unrolled


class CodeTalkerConfig(AnimatorConfig):
    """The numbers that rebuild the network; the defaults are those published for VOCASET.

    Attributes:
        num_codes, code_dim, codes_per_frame, autoencoder_*, project_codes, decoded_frames: see `AutoencoderSizes`.
    """

    animator: Literal["codetalker"] = "codetalker"
    dim: int = 1024
    num_layers: int = 6
    num_codes: int = 256
    code_dim: int = 64
    codes_per_frame: int = 16
    autoencoder_dim: int = 1024
    autoencoder_layers: int = 6
    autoencoder_heads: int = 8
    autoencoder_feed_forward: int = 1536
    project_codes: bool = True
    decoded_frames: int = 600

    @property
    def autoencoder_sizes(self) -> AutoencoderSizes:
        """Those of the autoencoder."""
        return AutoencoderSizes(
            self.num_features,
            self.num_codes,
            self.code_dim,
            self.codes_per_frame,
            self.autoencoder_dim,
            self.autoencoder_layers,
            self.autoencoder_heads,
            self.autoencoder_feed_forward,
            self.project_codes,
            self.decoded_frames,
        )


class CodeTalker(Animator):
    """The decoder's output, mapped to features by one layer that starts at zero, and what the autoencoder makes of them.

    The autoencoder is part of the model, but a gradient passes through it and changes nothing in it.
    """

    def __init__(self, config: CodeTalkerConfig, network: PretrainedSpeech | None = None) -> None:
        super().__init__(config, network)
        self.autoencoder = MotionAutoencoder(config.autoencoder_sizes)
        self.to_codes = nn.Linear(config.dim, config.codes_per_frame * config.code_dim, bias=False)
        nn.init.zeros_(self.to_codes.weight)

    def forward(self, memory: Tensor, subject: Tensor, *, before: Tensor | None = None) -> Tensor:
        """See `Animator.forward`."""
        autoencoder = self.autoencoder
        if before is not None:
            return autoencoder.decode(autoencoder.quantise(self.features(memory, subject, before)))
        frames: list[Tensor] = []
        unrolled = Unrolled(autoencoder)

        def say(decoded: Tensor) -> Tensor:
            frames.append(autoencoder.quantise(self.to_codes(decoded)))
            return unrolled.add(frames[-1])

        self.lead(memory, subject, say)
        return autoencoder.decode(torch.cat(frames, dim=1))

    def features(self, memory: Tensor, subject: Tensor, before: Tensor) -> Tensor:
        """What the codes of every frame should be near to (B, T, width), fed by the true motion; see `Animator.forward`."""
        return self.to_codes(self.follow(memory, subject, before))

    def estimate(
        self, memory: Tensor, subject: Tensor, truth: Tensor, mask: Tensor, *, fed: Tensor, forced: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Its motion, and `codes`, how far its features are from the codes of the truth.

        In training it is fed the true motion, as published, whatever `forced` says: a gradient through as many decodings as
        there are frames is not to be had. What is watched is what sampling does.
        """
        with torch.no_grad():
            autoencoder = self.autoencoder
            codes = autoencoder.codes_of(autoencoder.nearest(autoencoder.encode(truth, mask)))
        features = self.features(memory, subject, fed)
        terms = {"codes": mean_square(features - codes, mask).mean()}
        if self.training or forced:
            return autoencoder.decode(autoencoder.quantise(features), mask), terms
        return self(memory, subject), terms
