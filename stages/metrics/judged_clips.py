"""Clips as what is to be heard in them: the truth that mesh-to-speech models are measured against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.artifacts.clips import ClipFile
from stages.audio.log_mel import MEL_RATE_HZ, speech_log_mel
from stages.audio.speech_units import UNIT_RATE_HZ, assign_units
from stages.audio.waveform import check_spoken
from stages.metrics.phone_confusions import is_sound, phones_at
from stages.metrics.reconstruction import sounding
from stages.runtime.progress import Progress, silent


@dataclass(frozen=True)
class JudgedClip:
    """One clip; speech and motion begin together and are cut to the shorter.

    Attributes:
        motion: (T, D), all of it.
        waveform: (S,) i16, all of it.
        log_mel: (L, 80), even L.
        features: (L / 2, C), what units are clusters of; normalised over the whole recording.
        sounding: (L / 2,) bool, False in silence: where the phones say so, or else, without phones, by loudness, which
            takes a noisy pause for a sound.
        phones: (L / 2,) index in the phone table at every frame.
    """

    id: str
    subject: str
    transcript: str
    fps: float
    motion: Tensor
    waveform: Tensor
    log_mel: Tensor
    features: Tensor
    sounding: Tensor
    phones: NDArray[np.int64]

    def units(self, centroids: Tensor) -> Tensor:
        """The speech units (L / 2,) by a model's centroids (K, C)."""
        return assign_units(self.features, centroids)

    def with_motion(self, motion: Tensor) -> "JudgedClip":
        """The clip with another motion (T, D)."""
        return replace(self, motion=motion)


def read_judged_clips(
    file: ClipFile,
    split: str,
    features_of: Callable[[Tensor, Tensor], Tensor],
    *,
    at_most_s: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> list[JudgedClip]:
    """Reads a split.

    Args:
        features_of: (waveform (S,) i16, log_mel (L, 80)) -> (L // 2, C), what units are clusters of.
        at_most_s: draws clips by `seed` until they last this long; None reads all, in the order of the file.

    Returns:
        Clips that last 20 ms or longer; none where the split is empty.

    Raises:
        ThunderError: a clip without speech.
    """
    ids: Sequence[str] = file.ids(split)
    if at_most_s is not None:
        order = np.random.default_rng(seed).permutation(len(ids))
        lengths = np.cumsum([file.summary(ids[k]).duration_s for k in order])
        ids = [ids[k] for k in order[: int(np.searchsorted(lengths, at_most_s)) + 1]]
    clips = []
    with progress(f"reading {split}", total=len(ids)) as advance:
        for clip_id in ids:
            clip = file.read(clip_id)
            check_spoken(clip.waveform, f"{file.path}: clip {clip_id}")
            waveform = torch.from_numpy(clip.waveform)
            mel = speech_log_mel(waveform)
            length = min(len(mel), round(clip.num_frames / clip.fps * MEL_RATE_HZ)) // 2 * 2
            if length > 0:
                phones = phones_at(clip.phones, length // 2, UNIT_RATE_HZ)
                clips.append(
                    JudgedClip(
                        id=clip_id,
                        subject=clip.subject,
                        transcript=clip.transcript,
                        fps=clip.fps,
                        motion=torch.from_numpy(clip.motion),
                        waveform=waveform,
                        log_mel=mel[:length],
                        features=features_of(waveform, mel)[: length // 2].cpu(),
                        sounding=torch.from_numpy(is_sound(phones)) if clip.phones else sounding(mel[:length]),
                        phones=phones,
                    )
                )
            advance()
    return clips


def motion_of_another(clips: Sequence[JudgedClip], index: int) -> Tensor:
    """Motion (T, D) of the clip of another subject that is nearest in length, cut or repeated to the length of this one.

    Longer clips are taken before shorter ones, which would have to begin again. Where there is one subject only, another
    clip of that subject stands in; where there is one clip only, its own motion backwards.
    """
    this = clips[index]
    length = len(this.motion)
    others = [clip for clip in clips if clip.subject != this.subject] or [c for c in clips if c is not this]
    if not others:
        return this.motion.flip(0)
    other = min(others, key=lambda clip: (len(clip.motion) < length, abs(len(clip.motion) - length), clip.id))
    return other.motion[torch.arange(length) % len(other.motion)]
