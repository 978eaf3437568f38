"""The clips of a dataset as the tensors that trainings cut windows from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.artifacts.clips import ClipFile
from stages.audio.log_mel import LOG_FLOOR, speech_log_mel
from stages.audio.speech_units import assign_units, unit_features
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent


@dataclass
class TrainingClip:
    """One clip.

    Attributes:
        motion: (T, D), not normalised.
        log_mel: (L, 80), even L, of the loudness-normalised speech, at least as long as the motion.
        units: (L / 2,) speech units by the centroids in use; zeros until `name_units`.
    """

    id: str
    subject: str
    emotion: str
    intensity: float
    motion: Tensor
    log_mel: Tensor
    units: Tensor


def load_training_clips(file: ClipFile, split: str, progress: Progress = silent) -> tuple[list[TrainingClip], float]:
    """All clips of a split, and their common fps.

    Raises:
        ThunderError: no clip in the split, speech that is missing, or clips of different fps.
    """
    ids = file.ids(split)
    if not ids:
        raise ThunderError(f"{file.path}: no clip in split {split!r}; preprocess a corpus with more subjects or clips")
    clips, rates = [], set()
    with progress(f"reading {split}", total=len(ids)) as advance:
        for clip_id in ids:
            clip = file.read(clip_id)
            if len(clip.waveform) == 0:
                raise ThunderError(f"{file.path}: clip {clip_id} has no speech; preprocess it with its sound")
            rates.add(clip.fps)
            mel = pad_mel(speech_log_mel(torch.from_numpy(clip.waveform)), clip.num_frames / clip.fps)
            clips.append(
                TrainingClip(
                    clip_id,
                    clip.subject,
                    clip.emotion,
                    clip.intensity,
                    torch.from_numpy(clip.motion),
                    mel,
                    torch.zeros(len(mel) // 2, dtype=torch.long),
                )
            )
            advance()
    if len(rates) > 1:
        raise ThunderError(
            f"{file.path}: clips of {', '.join(f'{r:g}' for r in sorted(rates))} fps; "
            f"preprocess the corpus to one rate with --fps"
        )
    return clips, rates.pop()


def pad_mel(mel: Tensor, duration_s: float) -> Tensor:
    """A log-mel (L, 80) made even in length and, with silence, at least `duration_s` long."""
    wanted = max(len(mel), round(duration_s * 100))
    return torch.nn.functional.pad(mel, (0, 0, 0, wanted + wanted % 2 - len(mel)), value=LOG_FLOOR)


def name_units(clips: list[TrainingClip], centroids: Tensor) -> None:
    """Fills in the speech units of every clip."""
    for clip in clips:
        clip.units = assign_units(unit_features(clip.log_mel), centroids)


def motion_statistics(clips: list[TrainingClip], *, smallest_scale: float) -> tuple[Tensor, Tensor]:
    """Mean and deviation (D,) over all frames; deviations are kept above `smallest_scale`, so that a feature that a
    corpus hardly uses is not magnified into noise."""
    motion = torch.cat([clip.motion for clip in clips])
    return motion.mean(0), motion.std(0, correction=0).clamp_min(smallest_scale)
