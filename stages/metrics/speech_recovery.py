"""How well a frozen mesh-to-speech model (M2S) hears the input speech in an animation.

The model that supervised a training is a partial judge of it: compare trainings by a model that took no part in them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from stages.audio.log_mel import MEL_RATE_HZ, speech_log_mel
from stages.heads.head import Head
from stages.losses.audio_consistency import AudioConsistency, audio_consistency
from stages.models.mesh_to_speech import MeshToSpeech
from stages.models.resampling import read_at

# Attention over a whole recording would grow with the square of its length; clips up to this long are heard whole.
_WINDOW_S = 20


class Heard(NamedTuple):
    """What the model recovers of the speech: one value a take, (N,)."""

    mel_error: Tensor
    unit_accuracy: Tensor


def mel_recovery_error(heard: AudioConsistency) -> Tensor:
    """M2S mel error: mean over frames and bands of |heard − spoken| between log-mels. Over clips: the mean.

    Both are normalised band by band by the model's statistics, so that the unit is a standard deviation over its
    training speech. The model is lent the voice, as its speaker encoder describes it from the speech: what a face cannot
    tell.
    """
    return heard.mel


def unit_recovery_accuracy(heard: AudioConsistency) -> Tensor:
    """M2S unit accuracy: share of 50 Hz frames in which the model's likeliest speech unit is that spoken.

    Over clips: the mean. Silence is part of it.
    """
    return heard.unit_accuracy


def hear(judge: MeshToSpeech, head: Head, motion: Tensor, fps: float, waveform: Tensor) -> Heard:
    """Compares what the model hears in each take with the speech.

    Args:
        motion: (N, T, D).
        waveform: (S,) i16, 16 kHz, beginning with frame 0.

    Returns:
        (N,) each, NaN where sound or motion is under 20 ms long.
    """
    mel = speech_log_mel(waveform)  # (L, 80)
    length = min(len(mel), int(motion.shape[1] / fps * MEL_RATE_HZ)) // 2 * 2
    if length == 0:
        nothing = motion.new_full((len(motion),), torch.nan)
        return Heard(nothing, nothing)
    units = judge.name_units(waveform, mel)  # (L / 2,)
    window = math.ceil(length / math.ceil(length / (_WINDOW_S * MEL_RATE_HZ)) / 2) * 2
    mel_error, unit_accuracy = motion.new_zeros(len(motion)), motion.new_zeros(len(motion))
    for start in range(0, length, window):
        stop = min(start + window, length)
        first, num_frames = start / MEL_RATE_HZ * fps, math.ceil((stop - start) / MEL_RATE_HZ * fps) + 1
        heard = audio_consistency(
            judge,
            head,
            read_at(motion, first + torch.arange(num_frames, device=motion.device)),
            fps,
            log_mel=mel[start:stop].expand(len(motion), -1, -1),
            units=units[start // 2 : stop // 2].expand(len(motion), -1),
        )
        share = (stop - start) / length
        mel_error += share * mel_recovery_error(heard)
        unit_accuracy += share * unit_recovery_accuracy(heard)
    return Heard(mel_error, unit_accuracy)
