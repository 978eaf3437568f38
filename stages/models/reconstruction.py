"""What a mesh-to-speech model hears in a face, as a spectrogram and then as sound.

One way for all who judge a face by its sound: the command that lets a person hear it, the tables, a recogniser.
"""

import torch
from torch import Tensor

from stages.audio.griffin_lim import griffin_lim
from stages.audio.log_mel import MEL_RATE_HZ, speech_log_mel
from stages.heads.head import Head
from stages.models.mesh_to_speech import MeshToSpeech, look_at
from stages.models.resampling import read_at
from stages.models.vocoder import Vocoder

# Attention over a whole recording would grow with the square of its length. Longer ones are heard in pieces, each with a
# second of its neighbours, so that no piece begins in the middle of a word. At whole seconds, where whole rates have a frame.
_LONGEST_MEL_FRAMES = 16 * MEL_RATE_HZ
_MARGIN_MEL_FRAMES = 1 * MEL_RATE_HZ


@torch.no_grad()
def reconstruct_mel(
    model: MeshToSpeech, head: Head, motion: Tensor, fps: float, waveform: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Hears each take of a clip, in the voice of the clip's own speech: what a face cannot tell.

    Args:
        motion: (N, T, D), not normalised.
        fps: of the motion.
        waveform: (S,) i16, 16 kHz, whose voice is lent; an empty one leaves the voice open.

    Returns:
        log_mel (N, L, 80), natural logarithm in the scale of `speech_log_mel`, L even and within one of 100 T / fps;
        unit_logits (N, L / 2, K); and the voice (1, voice_dim).
    """
    length = round(motion.shape[1] / fps * MEL_RATE_HZ / 2) * 2
    voice = describe_voice_of(model, waveform)  # (1, voice_dim)
    if length == 0:
        empty = motion.new_zeros(len(motion), 0, 1)
        return empty.expand(-1, -1, len(model.mel_mean)), empty.expand(-1, -1, len(model.centroids)), voice
    long = length > _LONGEST_MEL_FRAMES
    step, margin = (_LONGEST_MEL_FRAMES - 2 * _MARGIN_MEL_FRAMES, _MARGIN_MEL_FRAMES) if long else (length, 0)
    mels, logits = [], []
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = max(0, start - margin), min(stop + margin, length)
        frames = torch.arange(round((last - first) / MEL_RATE_HZ * fps) + 1, device=motion.device)
        piece = read_at(motion, first / MEL_RATE_HZ * fps + frames)  # (N, T', D)
        heard = model(look_at(model, head, piece), fps, last - first, voice.expand(len(motion), -1))
        mels.append(model.restore_mel(heard.log_mel)[:, start - first : stop - first])
        logits.append(heard.unit_logits[:, (start - first) // 2 : (stop - first) // 2])
    return torch.cat(mels, dim=1), torch.cat(logits, dim=1), voice


def describe_voice_of(model: MeshToSpeech, waveform: Tensor) -> Tensor:
    """The voice (1, voice_dim) of a recording (S,) i16, in the model's terms; zeros, an open voice, if it is empty."""
    mel = speech_log_mel(waveform)  # (L, 80)
    if len(mel) == 0:
        return model.mel_mean.new_zeros(1, model.config.voice_dim)
    return model.describe_voice(model.normalise_mel(mel)[None])


@torch.no_grad()
def to_sound(log_mel: Tensor, units: Tensor, voice: Tensor, vocoder: Vocoder | None) -> Tensor:
    """Makes sound of what was heard.

    Args:
        log_mel: (N, L, 80), natural logarithm.
        units: (N, L / 2), int64.
        voice: (N or 1, voice_dim).
        vocoder: without one, Griffin-Lim, which reads the mel alone.

    Returns:
        (N, L * 160) at 16 kHz, at the common loudness of `speech_log_mel`.
    """
    if vocoder is None:
        return torch.stack([griffin_lim(mel) for mel in log_mel])
    return vocoder.speak(log_mel, units, voice.expand(len(log_mel), -1))
