"""The clips of a dataset as the tensors that trainings cut windows from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.artifacts.clips import ClipFile
from stages.audio.log_mel import LOG_FLOOR, speech_log_mel
from stages.audio.waveform import check_spoken
from stages.metrics.phone_confusions import phones_at
from stages.models.animator import Animator
from stages.models.mesh_to_speech import MeshToSpeech
from stages.models.motion_denoiser import MotionDenoiser
from stages.models.speech_encoder import FolderEncoder, SpeechEncoder
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent

# How long an error of a tracked face lasts.
_TRACKING_ERROR_S = 0.2

# One clip that reaches so many times as far as half of the others is broken, whatever the unit.
_ABSURD_EXTENT = 1e4
# A feature is scaled by its own deviation but never magnified beyond this one.
_SMALLEST_SCALE = 0.01
# Clips that the bands' statistics are taken from, at most.
_CLIPS_FOR_BANDS = 200


@dataclass
class TrainingClip:
    """One clip.

    Attributes:
        motion: (T, D), not normalised.
        log_mel: (L, 80), even L, of the loudness-normalised speech, at least as long as the motion.
        units: (L / 2,) speech units by the model in use; zeros until `name_units`.
        phones: (T,) index of the phone at every motion frame, `UNKNOWN` where none is known, see `phones_at`.
        sound: (n, C), float16, what a speech encoder reads where that is not the log-mel; see `read_sounds`.
    """

    id: str
    subject: str
    emotion: str
    intensity: float
    motion: Tensor
    log_mel: Tensor
    units: Tensor
    phones: Tensor
    sound: Tensor | None = None


def load_training_clips(
    file: ClipFile, split: str, progress: Progress = silent, *, at_most: int | None = None, seed: int = 0
) -> tuple[list[TrainingClip], float]:
    """All clips of a split, or `at_most` of them, drawn by `seed`; and their common fps.

    Raises:
        ThunderError: no clip in the split, a clip without speech, or clips of different fps.
    """
    ids = file.ids(split)
    if not ids:
        raise ThunderError(f"{file.path}: no clip in split {split!r}; preprocess a corpus with more subjects or clips")
    if at_most is not None:
        order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))
        ids = [ids[k] for k in order[:at_most].tolist()]
    clips, rates = [], set()
    with progress(f"reading {split}", total=len(ids)) as advance:
        for clip_id in ids:
            clip = file.read(clip_id)
            check_spoken(clip.waveform, f"{file.path}: clip {clip_id}")
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
                    torch.from_numpy(phones_at(clip.phones, clip.num_frames, clip.fps)),
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


def name_units(clips: list[TrainingClip], file: ClipFile, model: MeshToSpeech, progress: Progress = silent) -> None:
    """Fills in what the model calls the speech units of every clip; `file` is what the clips were read from."""
    with progress("naming speech units", total=len(clips)) as advance:
        for clip in clips:
            clip.units = model.name_units(waveform_of(clip, file), clip.log_mel).cpu()
            advance()


def read_sounds(clips: list[TrainingClip], file: ClipFile, encoder: FolderEncoder, progress: Progress = silent) -> None:
    """Fills in what an encoder reads of every clip; `file` is what the clips were read from."""
    with progress("reading speech", total=len(clips)) as advance:
        for clip in clips:
            clip.sound = encoder.read(waveform_of(clip, file)).half().cpu()
            advance()


def waveform_of(clip: TrainingClip, file: ClipFile) -> Tensor:
    """The recording (S,) i16 of a clip, which is not kept in memory."""
    return torch.from_numpy(file.read(clip.id).waveform)


def mistrack(clips: list[TrainingClip], amount: float, fps: float, seed: int) -> None:
    """Adds to the motion of every clip what a tracker would get wrong: the same errors whenever the clip is used.

    Errors last a fifth of a second, so that they look like motion and cannot be told from it by their quickness.

    Args:
        amount: standard deviation of the errors, in deviations of each feature over all clips.
    """
    _, scale = motion_statistics(clips, smallest_scale=0.0)
    kernel = torch.hann_window(max(1, round(_TRACKING_ERROR_S * fps)) + 2, periodic=False)[1:-1]
    kernel /= kernel.square().sum().sqrt()
    generator = torch.Generator().manual_seed(seed)
    for clip in clips:
        num_frames, num_features = clip.motion.shape
        white = torch.randn(num_features, 1, num_frames + len(kernel) - 1, generator=generator)
        errors = torch.nn.functional.conv1d(white, kernel[None, None])[:, 0].T  # (T, D)
        clip.motion = clip.motion + amount * scale * errors


def motion_statistics(clips: list[TrainingClip], *, smallest_scale: float) -> tuple[Tensor, Tensor]:
    """Mean and deviation (D,) over all frames; deviations are kept above `smallest_scale`, so that a feature that a
    corpus hardly uses is not magnified into noise.

    Raises:
        ThunderError: a clip whose motion dwarfs that of the others.
    """
    extents = torch.stack([clip.motion.abs().max() for clip in clips])
    usual, largest = float(extents.median()), float(extents.max())
    if largest > _ABSURD_EXTENT * usual > 0:
        raise ThunderError(
            f"clip {clips[int(extents.argmax())].id}: motion reaches {largest:.3g}, that of other clips {usual:.3g}, so that "
            f"nothing of them would be left beside it; preprocess the corpus without it"
        )
    motion = torch.cat([clip.motion for clip in clips])
    return motion.mean(0), motion.std(0, correction=0).clamp_min(smallest_scale)


def normalise_by(clips: list[TrainingClip], network: Animator | MotionDenoiser) -> None:
    """Gives a network what it normalises by: the motion's statistics, and those of speech where its encoder is ours."""
    if isinstance(network.speech_encoder, SpeechEncoder):
        network.speech_encoder.fit([clip.log_mel for clip in clips[:: 1 + len(clips) // _CLIPS_FOR_BANDS]])
    mean, scale = motion_statistics(clips, smallest_scale=_SMALLEST_SCALE)
    network.motion_mean.copy_(mean)
    network.motion_scale.copy_(scale)
