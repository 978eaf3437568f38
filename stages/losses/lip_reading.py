"""Guidance by a lip reader: what is read from drawn lips and speech, against the transcript; differentiable to the vertices.

Source: Han et al., "Enhancing Speech-Driven 3D Facial Animation with Audio-Visual Guidance from Lip Reading Expert",
Interspeech 2024: L_av = .1 CTC + .9 cross-entropy of the attention decoder, label smoothing .1, and a plain mean square error
of the lips' vertices that keeps them in place. The released code detaches normals and coverage, so that its L_av has no
gradient to the vertices; what draws the crops here must not. Nothing here knows how: a drawing function is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.losses.geometry import mean_square
from stages.losses.speech import LABEL_SMOOTHING
from stages.models.characters import BLANK
from stages.models.lip_reader import VIDEO_RATE_HZ, LipReader, LipReaderConfig, LipReading, at_video_rate

_IGNORED = -100


@dataclass(frozen=True)
class LipReadingLoss:
    """One value an item, (B,), in nats a character.

    Attributes:
        ctc: of the transcript, frame by frame.
        attention: cross-entropy of the decoder, given the transcript so far, labels smoothed.
    """

    ctc: Tensor
    attention: Tensor

    def total(self, *, ctc_weight: float = 0.1, attention_weight: float = 0.9) -> Tensor:
        """The weighted sum (B,): λ_ctc L_ctc + λ_ce L_ce."""
        return ctc_weight * self.ctc + attention_weight * self.attention


def lip_reading(
    reader: LipReader,
    draw: Callable[[Tensor], Tensor],
    vertices: Tensor,
    fps: float,
    *,
    labels: Tensor,
    num_labels: Tensor,
    sound: Tensor | None = None,
    mask: Tensor | None = None,
) -> LipReadingLoss:
    """How badly the transcript is read from moving lips.

    Args:
        reader: frozen; gradients flow through it to the vertices.
        draw: (n, M, 3) vertices to (n, 96, 96) crops in 0..1, differentiably.
        vertices: (B, T, M, 3) at `fps`; frame 0 at the time where the sound begins.
        labels: (B, U) from 1, padded with blanks; `num_labels` (B,) are the item's.
        sound: `reader.sound_of` each item, as many frames as `at_video_rate` makes; None reads the lips alone.
        mask: (B, T), True where a frame is real; all of them where None.

    Raises:
        ThunderError: longer than the reader was built for.
    """
    batch, num_frames = vertices.shape[:2]
    real = torch.ones(batch, num_frames, dtype=torch.bool, device=vertices.device) if mask is None else mask.bool()
    if bool((real.sum(1) == 0).any()):
        raise ValueError("an item without a frame has no lips to read")
    moving = at_video_rate(vertices, fps)  # (B, T', M, 3)
    lasts = real.sum(1, keepdim=True) - 1
    # Of a frame at 25 fps both neighbours must be real.
    times = torch.arange(moving.shape[1], device=vertices.device) * (fps / VIDEO_RATE_HZ)
    seen = times <= lasts + 1e-4  # (B, T')
    drawn = draw(moving[seen])  # (frames, 96, 96)
    crops = drawn.new_zeros(batch, moving.shape[1], *drawn.shape[1:])
    crops[seen] = drawn
    reading = reader(crops, sound, seen)
    return LipReadingLoss(
        ctc_per_character(reading, seen, labels, num_labels, reader.config),
        attention_cross_entropy(reader, reading, seen, labels, num_labels),
    )


def ctc_per_character(
    reading: LipReading, mask: Tensor, labels: Tensor, num_labels: Tensor, config: LipReaderConfig
) -> Tensor:
    """CTC's loss of each text (B,), over its characters; nothing where a text cannot fit into its frames."""
    loss = F.ctc_loss(
        reading.log_probs.transpose(0, 1),
        labels,
        mask.sum(1) * config.labels_per_frame,
        num_labels,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    return loss / num_labels


def attention_cross_entropy(
    reader: LipReader, reading: LipReading, mask: Tensor, labels: Tensor, num_labels: Tensor
) -> Tensor:
    """The decoder's label-smoothed cross-entropy (B,) of each character and of the end, given those before."""
    end = reader.config.end
    places = torch.arange(labels.shape[1] + 1, device=labels.device)
    told = F.pad(labels, (0, 1), value=BLANK)  # (B, U + 1)
    wanted = torch.where(places < num_labels[:, None], told, torch.where(places == num_labels[:, None], end, _IGNORED))
    before = F.pad(labels, (1, 0), value=end)  # the sign that ends a text begins it too
    logits = reader.decoder(before, reading.features, mask).float()
    loss = F.cross_entropy(
        logits.transpose(1, 2), wanted, ignore_index=_IGNORED, reduction="none", label_smoothing=LABEL_SMOOTHING
    )  # (B, U + 1)
    return loss.sum(1) / (num_labels + 1)


def lip_vertices(estimate: Tensor, truth: Tensor, lips: Tensor, mask: Tensor) -> Tensor:
    """L_rlv: mean square error (B,) of the coordinates of the lips' vertices, in squared head units.

    Args:
        estimate, truth: (B, T, V, 3).
        lips: (L,) vertex indices.
        mask: (B, T), True where a frame is real.
    """
    return mean_square((estimate - truth)[:, :, lips], mask)
