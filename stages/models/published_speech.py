"""Speech as the published animators read it by wav2vec 2.0: convolved features on the motion's clock, then the transformer.

Where our own models read features at the times of frames, FaceFormer and CodeTalker bring them to one or two a frame before
the transformer sees them. VOCASET's models stretch the n features of a recording to floor(n / 50 * 30) frames, first to first
and last to last; BIWI's give every frame of a twenty-fifth of a second its two features.

Source: Fan et al., FaceFormer, CVPR 2022; Xing et al., CodeTalker, CVPR 2023, and their released code.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.audio.pretrained import FEATURE_RATE_HZ, HOP_SAMPLES, PretrainedSpeech
from stages.runtime.errors import ThunderError


class PublishedSpeech(PretrainedSpeech):
    """The network of a folder, read as the models for VOCASET or for BIWI do."""

    def __init__(self, loaded: PretrainedSpeech, reading: Literal["vocaset", "biwi"]) -> None:
        super().__init__(
            loaded.network,
            kind=loaded.kind,
            layer=loaded.layer,
            normalise=loaded._normalise,
            identity=loaded.identity,
        )
        self.reading = reading

    @torch.no_grad()
    def read(self, samples: Tensor, fps: float) -> Tensor:
        """Features (T, k, C) of each frame of a recording (S,) i16: k is 1 for VOCASET and 2 for BIWI.

        Raises:
            ThunderError: the recording is shorter than a frame.
        """
        waveform = samples.float()[None] / 32768
        if self._normalise:
            waveform = self._standardise(waveform)
        num_features = (waveform.shape[-1] - self._reach) // HOP_SAMPLES + 1
        num_frames = num_features // 2 if self.reading == "biwi" else int(num_features / FEATURE_RATE_HZ * fps)
        if num_frames < 1:
            raise ThunderError(f"speech of {waveform.shape[-1] / 16_000:.3f} s is shorter than a frame of motion")
        heard = self._convolve(waveform, num_features)  # (1, n, C')
        if self.reading == "biwi":
            return self._contextualise_all(heard[:, : 2 * num_frames]).unflatten(0, (-1, 2))
        stretched = F.interpolate(heard.transpose(1, 2), size=num_frames, mode="linear", align_corners=True)
        return self._contextualise_all(stretched.transpose(1, 2))[:, None]
