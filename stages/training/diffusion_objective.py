"""What the diffusion animator is trained to do: denoise, geometrically right, and heard to say what the speech says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.diffusion.schedule import add_noise, cosine_alphas_bar
from stages.heads.head import Head, lip_midpoints
from stages.losses.geometry import closure, lip_gap, mean_square, smoothness, velocity
from stages.metrics.phone_confusions import UNKNOWN
from stages.models.motion_denoiser import Conditions, MotionDenoiser, tell_emotion
from stages.models.precision import full_precision
from stages.training.augmentation import vary_recording
from stages.training.clips_in_memory import TrainingClip
from stages.training.guidance import Guidance
from stages.training.mel_masking import hide_parts
from stages.training.spoken_words import Extracts
from stages.training.windows import WindowBatch

_CLIPS_FOR_SCALES = 200
# The change of a feature between frames is scaled by its own, in deviations, but never magnified beyond this one.
_SMALLEST_VELOCITY = 0.02


@dataclass(frozen=True)
class DiffusionWeights:
    """Weights of the loss terms. `phones` multiplies a cross-entropy in nats; `lips` is what Han et al. call L_rlv. Each
    geometric term is divided by the variance of what it measures, so 1 means "explain all of it" whatever the unit. The
    papers' weights are not published or belong to other units; these are ours."""

    coefficients: float = 1.0
    vertices: float = 0.5
    lips: float = 1.0
    closure: float = 0.3
    velocity: float = 1.0
    smoothness: float = 0.02
    phones: float = 0.5


ListeningSchedule = Literal["alpha", "snr", "constant", "late"]
# Signal-to-noise ratio above which no estimate counts for more (Hang et al., 2023).
_MOST_SNR = 5.0


def listening_share(alpha_bar: Tensor, schedule: ListeningSchedule) -> Tensor:
    """How much of their weight those who listen and read have at a timestep.

    At high noise the best estimate is a blur of all that could be said; asking it to speak would teach it to mumble on
    average. What a blur is, is a matter of degree:

    - `alpha`: alpha_bar, the share of the signal's variance that is left;
    - `snr`: the signal-to-noise ratio over 5, at most 1, after Hang et al., "Efficient Diffusion Training via Min-SNR
      Weighting Strategy", 2023: later than `alpha`, and full before the noise is gone;
    - `constant`: 1;
    - `late`: 1 where at least half of the variance is signal, 0 elsewhere.

    Args:
        alpha_bar: (B,).

    Returns:
        (B,), 0 to 1.
    """
    if schedule == "alpha":
        return alpha_bar
    if schedule == "snr":
        return (alpha_bar / (1 - alpha_bar).clamp_min(1e-6)).clamp_max(_MOST_SNR) / _MOST_SNR
    if schedule == "late":
        return (alpha_bar >= 0.5).float()
    return torch.ones_like(alpha_bar)


@dataclass(frozen=True)
class Dropout:
    """How often a condition is withheld, so that guidance and free choice are possible (DiffPoseTalk: .10, .45)."""

    speech: float = 0.1
    emotion: float = 0.3
    subject: float = 0.45


@dataclass(frozen=True)
class Scales:
    """Root mean square of what the geometric terms measure, over the training clips: of displacements from the mean face
    in head units, of their change between frames, and of the gap between the lips; `velocity` (D,) that of the change of
    each normalised feature between frames."""

    vertices: float
    lips: float
    lip_velocity: float
    lip_gap: float
    velocity: Tensor


@torch.no_grad()
def measure_scales(
    network: MotionDenoiser, head: Head, clips: Sequence[TrainingClip], *, face: Tensor, lips: Tensor
) -> Scales:
    """What the geometric terms of some vertices are divided by, from every second frame pair of up to 200 clips."""
    motion = torch.cat([clip.motion[: len(clip.motion) // 2 * 2] for clip in clips[:_CLIPS_FOR_SCALES]])

    def spread(vertices: Tensor) -> float:
        return max(float((vertices - vertices.mean(0)).square().mean().sqrt()), 1e-6)

    moving_lips = head.vertices(motion, indices=lips, pose=False).unflatten(0, (-1, 2))  # (n, 2, M, 3)
    lip_velocity = float((moving_lips[:, 1] - moving_lips[:, 0]).square().mean().sqrt())
    moving = network.normalise(motion).unflatten(0, (-1, 2))  # (n, 2, D)
    steps = moving[:, 1] - moving[:, 0]
    gap = lip_gap(*head.vertices(motion, indices=lip_midpoints(head.record), pose=False).unbind(-2))
    return Scales(
        vertices=spread(head.vertices(motion, indices=face, pose=False)),
        lips=spread(moving_lips.flatten(0, 1)),
        lip_velocity=max(lip_velocity, 1e-6),
        lip_gap=max(float(gap.square().mean().sqrt()), 1e-6),
        velocity=steps.square().mean(0).sqrt().clamp_min(_SMALLEST_VELOCITY),
    )


def phones_named(scores: Tensor, phones: Tensor) -> dict[str, Tensor]:
    """How well phones are told, a frame: cross-entropy in nats and share of right answers, (B,) each.

    Args:
        scores: (B, T, phones) before the softmax.
        phones: (B, T) index of the true one; frames where it is `UNKNOWN` count nowhere.
    """
    entropy = F.cross_entropy(scores.transpose(1, 2), phones, ignore_index=UNKNOWN, reduction="none")
    right = (scores.argmax(-1) == phones).float()
    known = (phones != UNKNOWN).sum(1).clamp_min(1)
    return {"phones": entropy.sum(1) / known, "phone_accuracy": right.sum(1) / known}


class DiffusionObjective(nn.Module):
    """Loss terms of a batch of windows; the denoiser inside is what is trained.

    Args:
        face, lips: vertex indices (M,) that the vertex terms compare.
        guidance: who hears and reads what is generated; None trains without.
        schedule: of their weight over timesteps; what regresses has one timestep and always the whole weight.
        hidden_share: of the windows whose speech our own encoder hears with parts hidden, see `hide_parts`.
    """

    alphas_bar: Tensor
    velocity_scale: Tensor
    face: Tensor
    lips: Tensor
    lip_midpoints: Tensor

    def __init__(
        self,
        denoiser: MotionDenoiser,
        head: Head,
        *,
        face: Tensor,
        lips: Tensor,
        scales: Scales,
        weights: DiffusionWeights,
        dropout: Dropout,
        context_noise: float,
        guidance: Guidance | None = None,
        schedule: ListeningSchedule = "alpha",
        hidden_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.head = head
        self.scales = scales
        self.weights = weights
        self.dropout = dropout
        self.context_noise = context_noise
        self.schedule = schedule
        self.hidden_share = hidden_share
        self.guidance = guidance
        self.register_buffer("alphas_bar", cosine_alphas_bar(denoiser.config.num_timesteps), persistent=False)
        self.register_buffer("velocity_scale", scales.velocity, persistent=False)
        self.register_buffer("face", face, persistent=False)
        self.register_buffer("lips", lips, persistent=False)
        self.register_buffer("lip_midpoints", lip_midpoints(head.record), persistent=False)

    def forward(
        self,
        batch: WindowBatch,
        emotion: Tensor,
        intensity: Tensor,
        subject: Tensor,
        generator: torch.Generator,
        extracts: Extracts | None = None,
    ) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise. `extracts` are the words in the windows, where they can be read."""
        denoiser, device = self.denoiser, batch.motion.device
        num_context = denoiser.config.context
        motion = denoiser.normalise(batch.motion)
        truth, mask = motion[:, num_context:], batch.mask[:, num_context:]

        def chance(share: float) -> Tensor:
            return torch.rand(len(motion), generator=generator).to(device) < share

        context = motion[:, :num_context]
        # The window before was generated, not recorded: teach the model to follow a slightly wrong one.
        context = context + self.context_noise * torch.randn(context.shape, generator=generator).to(device)
        wide = batch.wide_sound
        # A user's network has heard more rooms and microphones than could be imitated on a spectrogram.
        if self.training and denoiser.config.speech_encoder == "mel":
            wide = torch.where(chance(0.85)[:, None, None], vary_recording(wide, generator), wide)
            if self.hidden_share > 0:
                wide = torch.where(chance(self.hidden_share)[:, None, None], hide_parts(wide, generator), wide)
        index = torch.where(chance(self.dropout.emotion), 0, emotion)
        told, strength = tell_emotion(index, intensity, len(denoiser.config.emotions))
        given = Conditions(
            speech=denoiser.encode_speech(wide, batch.first_frame_s, motion.shape[1]),
            context=context,
            has_context=batch.has_context,
            emotion=told,
            strength=strength,
            subject=torch.where(chance(self.dropout.subject), 0, subject),
            has_speech=~chance(self.dropout.speech),
        )
        num_timesteps = denoiser.config.num_timesteps
        if denoiser.config.regression:
            timestep = torch.full((len(motion),), num_timesteps, device=device)
            estimate = denoiser(torch.zeros_like(truth), timestep, given)
            share = torch.ones(len(motion), device=device)
        else:
            timestep = torch.randint(1, num_timesteps + 1, (len(motion),), generator=generator).to(device)
            noise = torch.randn(truth.shape, generator=generator).to(device)
            alpha_bar = self.alphas_bar[timestep]
            estimate = denoiser(add_noise(truth, noise, alpha_bar), timestep, given)
            share = listening_share(alpha_bar, self.schedule)
        with full_precision(device):
            estimate = estimate.float()
            terms = self._geometry(estimate, truth, motion[:, num_context - 1 : num_context], mask)
            total = sum(getattr(self.weights, name) * value for name, value in terms.items())
            if denoiser.name_phones is not None:
                named = phones_named(denoiser.name_phones(given.speech.float()), batch.phones)
                total = total + self.weights.phones * named["phones"]
                terms |= named
        if self.guidance is not None:
            # Speech that was not told is not asked for.
            added, found = self.guidance(
                denoiser.restore(estimate),
                batch.motion[:, num_context:],
                denoiser.config.fps,
                batch,
                extracts,
                share * given.has_speech,
                generator,
            )
            total, terms = total + added, terms | found
        means = {name: value.mean() for name, value in terms.items()}
        return {"loss": total.mean(), **means}

    def _geometry(self, estimate: Tensor, truth: Tensor, before: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Terms (B,) that compare the estimate with the truth; `before` is the frame before the window, (B, 1, D)."""
        restore = self.denoiser.restore
        moved, still = restore(estimate), restore(truth)
        # Head rotation is three coefficients, and learned as such; the face's shape is compared without it.
        indices = torch.cat([self.face, self.lips, self.lip_midpoints])
        sizes = len(self.face), len(self.lips), 2
        estimated = self.head.vertices(moved, indices=indices, pose=False).split(sizes, dim=-2)
        true = self.head.vertices(still, indices=indices, pose=False).split(sizes, dim=-2)
        face, lips = estimated[0] - true[0], estimated[1] - true[1]
        gap, true_gap = (lip_gap(*part[2].unbind(-2)) for part in (estimated, true))
        # The step from the context into the window counts as a step: no seam may show. A head turns slowly and a lid shuts
        # fast: each feature's velocity counts in its own measure, or the head would tremble at no cost.
        joined, true_joined = (torch.cat([before, x], dim=1) / self.velocity_scale for x in (estimate, truth))
        joined_mask = torch.cat([mask[:, :1], mask], dim=1)
        return {
            "coefficients": mean_square(estimate - truth, mask),
            "vertices": mean_square(face / self.scales.vertices, mask),
            "lips": mean_square(lips / self.scales.lips, mask),
            "closure": closure(gap, true_gap, self.scales.lip_gap, mask),
            "velocity": velocity(joined, true_joined, joined_mask)
            + mean_square((lips[:, 1:] - lips[:, :-1]) / self.scales.lip_velocity, mask[:, 1:] * mask[:, :-1]),
            "smoothness": smoothness(estimate, mask),
        }
