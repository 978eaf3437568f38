"""Motion that follows speech while it is being said.

Windows stand where those of `sample_long_motion` stand, with the same noise. Each is denoised once every `hop` frames: with
the speech heard so far, silence after it, and the frames settled before held as they are. So a take is that of the whole
speech but for what could not be known: which speech follows later than the look-ahead.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.live_mel import LiveMel
from stages.audio.log_mel import mel_stretch
from stages.diffusion.closures import Closer
from stages.diffusion.long_motion import Pass, SamplingOptions, motion_of_passes
from stages.diffusion.steadying import FollowingLowPass
from stages.models.motion_denoiser import MotionDenoiser


@dataclass(frozen=True)
class LivePlan:
    """When frames are settled.

    Attributes:
        hop: frames settled at a time.
        look_ahead_s: speech that is waited for after the last of them.
    """

    hop: int
    look_ahead_s: float

    def latency_s(self, fps: float) -> tuple[float, float]:
        """Shortest and longest time from a sound to the motion that goes with it, computing aside."""
        return self.look_ahead_s, self.look_ahead_s + (self.hop - 1) / fps


def live_motion(
    denoiser: MotionDenoiser,
    speech: Iterable[NDArray[np.float32]],
    mel: LiveMel,
    seed: int,
    options: SamplingOptions,
    plan: LivePlan,
    *,
    closer: Closer | None = None,
    steadied: list[int],
    cutoff_hz: float,
) -> Iterator[Tensor]:
    """One take, a few frames at a time, each as soon as the speech it needs has come.

    The result does not depend on how the speech is cut into blocks.

    Args:
        speech: blocks (n,) of 16 kHz samples in -1..1.
        mel: nothing heard yet.
        seed: of the take; `sample_long_motion` with it gives the same take, up to the look-ahead.
        closer: as of `sample_long_motion`.
        steadied: features without what is faster than `cutoff_hz`, which makes them a little late; unless that is 0.

    Yields:
        (t, D), not normalised, t at most `plan.hop`; together one frame for every started frame of the speech.
    """
    smooth = FollowingLowPass(denoiser.config.fps, cutoff_hz) if cutoff_hz and steadied else None
    passes = _passes(denoiser, iter(speech), mel, plan)
    for now, windows in motion_of_passes(denoiser, passes, [seed], options, mel.device, closer=closer):
        frames = windows[0, now.num_settled : now.num_settled + now.num_kept].clone()
        if smooth is not None:
            frames[:, steadied] = smooth(frames[:, steadied])
        yield frames


def _passes(
    denoiser: MotionDenoiser, blocks: Iterator[NDArray[np.float32]], mel: LiveMel, plan: LivePlan
) -> Iterator[Pass]:
    """Passes as the speech they need comes."""
    config = denoiser.config
    rest = np.zeros(0, np.float32)
    frame, ended = 0, False
    while True:
        within = frame % config.window
        num_kept = min(plan.hop, config.window - within)
        needed = math.ceil(((frame + num_kept - 1) / config.fps + plan.look_ahead_s) * SAMPLE_RATE_HZ)
        while not ended and mel.num_samples + len(rest) < needed:
            block = next(blocks, None)
            ended = block is None
            rest = rest if block is None else np.concatenate([rest, block])
        # No more than is needed: what is heard with a frame must not depend on how the pipe was read.
        wanted = max(0, needed - mel.num_samples)
        mel.hear(rest[:wanted])
        rest = rest[wanted:]
        if ended and not len(rest):
            mel.end()
            num_frames = max(1, math.ceil(mel.num_samples / SAMPLE_RATE_HZ * config.fps - 1e-6))
            num_kept = min(num_kept, num_frames - frame)
        if num_kept <= 0:
            return
        start, length, first_frame_s = mel_stretch(
            frame - within - config.context, config.context + config.window, config.fps, denoiser.speech_margin
        )
        features = denoiser.encode_speech(mel.cut(start, length)[None], first_frame_s, config.context + config.window)
        yield Pass(frame - within, within, num_kept, features)
        frame += num_kept
