"""Motion of any length from a denoiser of short windows: each window continues the last frames of the one before."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stages.audio.log_mel import mel_around
from stages.diffusion.closures import Closer
from stages.diffusion.guidance import Listener, guide, lead, step_length
from stages.diffusion.samplers import SAMPLERS, Denoise, Sampler
from stages.diffusion.schedule import cosine_alphas_bar
from stages.formats.keyframes import Keyframe, emotions_at
from stages.models.motion_denoiser import Conditions, MotionDenoiser
from stages.runtime.progress import Progress, silent

# A step that would lead less far than this times W is not worth listening for: the first, from pure noise, is one.
_SHORTEST_STEP = 0.02


@dataclass(frozen=True)
class SamplingOptions:
    """How to sample.

    Attributes:
        num_steps: calls of the denoiser a window.
        sampler: key of `SAMPLERS`.
        guidance: 1 takes the model's word; more exaggerates what speech and style change, at twice the cost.
        emotions: what is felt when; none leaves it free, one holds throughout.
        subject: index the model was trained with, 0 leaves it free.
    """

    num_steps: int = 10
    sampler: Sampler = "ddim"
    guidance: float = 1.0
    emotions: tuple[Keyframe, ...] = ()
    subject: int = 0


@dataclass(frozen=True)
class Pass:
    """One denoising of a window, in which some frames are settled already and some become so.

    A window that is denoised once settles all its frames. Where speech is still being said, a window is denoised again and
    again, each time with more of its speech heard and more of its frames settled.

    Attributes:
        first: first frame of the window.
        num_settled: frames of the window that passes before this one have settled.
        num_kept: frames that this one settles.
        speech: (1, context + window, encoder_dim), of the frames and those of the context before them.
    """

    first: int
    num_settled: int
    num_kept: int
    speech: Tensor


@torch.no_grad()
def sample_long_motion(
    denoiser: MotionDenoiser,
    sound: Tensor,
    num_frames: int,
    seeds: list[int],
    options: SamplingOptions,
    progress: Progress = silent,
    *,
    closer: Closer | None = None,
    listener: Listener | None = None,
) -> Tensor:
    """N takes of one speech, in one batch; the speech of a window is encoded once for all takes.

    Each take draws its noise from its own seed, so a take is the same however many are sampled beside it.

    Args:
        sound: (L, 80) log-mel of the whole, loudness-normalised speech, or what else the denoiser's encoder reads of it.
        num_frames: T.
        seeds: N.
        closer: leads lips together where the denoiser hears /p b m/; None leaves that to chance.
        listener: leads every step towards motion in which it hears the speech; None leads nowhere and costs nothing.

    Returns:
        (N, T, D), not normalised.

    Raises:
        ThunderError: the listener led the motion out of its range.
    """
    window = denoiser.config.window
    passes = (Pass(first, 0, window, _encode(denoiser, sound, first)) for first in range(0, num_frames, window))
    motion = motion_of_passes(denoiser, passes, seeds, options, sound.device, closer=closer, listener=listener)
    windows = []
    with progress("sampling", total=num_frames) as advance:
        for now, frames in motion:
            windows.append(frames)
            advance(min(window, num_frames - now.first))
    return torch.cat(windows, dim=1)[:, :num_frames]


def _encode(denoiser: MotionDenoiser, sound: Tensor, first: int) -> Tensor:
    """Speech features of the window that starts at a frame, and of its context."""
    num_frames = denoiser.config.context + denoiser.config.window
    stretch = first - denoiser.config.context, num_frames
    encoder = denoiser.speech_encoder
    wide, first_frame_s = mel_around(
        sound,
        *stretch,
        denoiser.config.fps,
        denoiser.speech_margin,
        rate_hz=encoder.rate_hz,
        silence=encoder.silence,
    )
    return denoiser.encode_speech(wide[None], first_frame_s, num_frames)


@torch.no_grad()
def motion_of_passes(
    denoiser: MotionDenoiser,
    passes: Iterable[Pass],
    seeds: list[int],
    options: SamplingOptions,
    device: torch.device,
    *,
    closer: Closer | None = None,
    listener: Listener | None = None,
) -> Iterator[tuple[Pass, Tensor]]:
    """Windows of motion, each continuing the last frames of the one before; the arguments are those of `sample_long_motion`.

    A pass is asked for when the motion of the one before has been taken, so that its speech may be waited for.

    Args:
        passes: in order of time; every window is settled to its end before the next one begins.

    Yields:
        Each pass with its (N, window, D), not normalised; frames after its settled ones are what the model expects at
        present.
    """
    config, num_takes = denoiser.config, len(seeds)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    num_steps = 1 if config.regression else options.num_steps
    alphas_bar = cosine_alphas_bar(config.num_timesteps).to(device)
    context = torch.zeros(num_takes, config.context, config.num_features, device=device)
    settled = context[:, :0]
    for now in passes:
        if now.num_settled == 0:
            context = torch.cat([context, settled], dim=1)[:, -config.context :]
            # All passes of a window start from the same noise: a frame does not change its mind, it hears more.
            shape = (config.window, config.num_features)
            noise = torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)
            if config.regression:
                noise = torch.zeros_like(noise)
        # One emotion that holds is told once, which is quicker than telling it to every frame.
        told_frames = config.context + config.window if len(options.emotions) > 1 else 1
        times_s = (now.first - config.context + torch.arange(told_frames, device=device)) / config.fps
        emotion, strength = emotions_at(options.emotions, times_s, config.emotions)
        given = Conditions(
            speech=now.speech.expand(num_takes, -1, -1),
            context=context,
            has_context=torch.full((num_takes,), now.first > 0, device=device),
            emotion=emotion.expand(num_takes, -1, -1),
            strength=strength.expand(num_takes, -1, -1),
            subject=torch.full((num_takes,), options.subject, device=device),
            has_speech=torch.ones(num_takes, dtype=torch.bool, device=device),
        )
        guided = _Guided(denoiser, given, options.guidance)
        denoise: Denoise = guided if listener is None else _Led(guided, listener, now.first, alphas_bar)
        if closer is not None and (likely := denoiser.lips_heard_closed(now.speech)) is not None:
            share = closer.share(likely[0, config.context :])
            if share.any():  # a window of silence asks for nothing
                denoise = _Closed(denoise, closer, denoiser, share)
        if now.num_settled:
            denoise = _Continued(denoise, settled[:, : now.num_settled])
        window = SAMPLERS[options.sampler](denoise, noise, alphas_bar, num_steps)
        settled = window[:, : now.num_settled + now.num_kept]
        yield now, denoiser.restore(window)


@dataclass(frozen=True)
class _Guided:
    """The denoiser with its conditions filled in; told and untold estimates share one batch."""

    denoiser: MotionDenoiser
    given: Conditions
    scale: float

    def __call__(self, x_t: Tensor, timestep: Tensor) -> Tensor:
        if self.scale == 1:
            return self.denoiser(x_t, timestep, self.given)
        untold = self.given.without_speech_and_style()
        both = replace(self.given, **{k: torch.cat([v, getattr(untold, k)]) for k, v in vars(self.given).items()})
        told, free = self.denoiser(x_t.repeat(2, 1, 1), timestep.repeat(2), both).chunk(2)
        return guide(told, free, self.scale)


@dataclass(frozen=True)
class _Led:
    """Estimates of a window that starts at frame `first`, each led by a listener, who hears the context before it too."""

    guided: _Guided
    listener: Listener
    first: int
    alphas_bar: Tensor

    def __call__(self, x_t: Tensor, timestep: Tensor) -> Tensor:
        alpha_bar = float(self.alphas_bar[timestep[0]])
        if step_length(alpha_bar) < _SHORTEST_STEP:
            return self.guided(x_t, timestep)
        denoiser, context = self.guided.denoiser, self.guided.given.context
        num_context = min(self.first, context.shape[1])
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            x_0 = self.guided(x_t, timestep)
            motion = denoiser.restore(torch.cat([context[:, context.shape[1] - num_context :], x_0], dim=1))
            heard = self.listener.hear(motion, self.first - num_context, denoiser.config.fps)
            return lead(x_0, heard, x_t, alpha_bar, self.listener.weight)


@dataclass(frozen=True)
class _Closed:
    """Estimates whose lips meet as far as `share` (window,) says."""

    denoise: Denoise
    closer: Closer
    denoiser: MotionDenoiser
    share: Tensor

    def __call__(self, x_t: Tensor, timestep: Tensor) -> Tensor:
        return self.closer.close(self.denoise(x_t, timestep), self.denoiser, self.share)


@dataclass(frozen=True)
class _Continued:
    """Estimates of a window whose first frames are known: told so at every step, the sampler leads the others on from them."""

    denoise: Denoise
    known: Tensor

    def __call__(self, x_t: Tensor, timestep: Tensor) -> Tensor:
        x_0 = self.denoise(x_t, timestep)
        return torch.cat([self.known, x_0[:, self.known.shape[1] :]], dim=1)
