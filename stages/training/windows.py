"""Random windows of clips, batched: what one training step sees."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.audio.log_mel import LOG_FLOOR, MEL_RATE_HZ, cut_mel, mel_around
from stages.metrics.phone_confusions import UNKNOWN
from stages.training.clips_in_memory import TrainingClip

# Share of windows of a training that may reach beyond their clip: sampling ends in such a window, and sentences that are
# hardly longer than one window would otherwise be learned at their beginning alone.
END_SHARE = 0.25
_VOICE_MEL_FRAMES = 200
# Clips of a batch that is looked at: enough to be quick, few enough for all vertices of a large mesh.
_CLIPS_AT_ONCE = 8


@dataclass(frozen=True)
class WindowShape:
    """What is cut from a clip.

    Attributes:
        num_frames: T, motion frames of the window.
        num_context: C, motion frames before it.
        fps: of the motion.
        mel_margin: mel frames, even, around context and window that a speech encoder also sees; 0 cuts none.
        sound_hz: rate of `TrainingClip.sound`, and `silence`, its value before and after a clip.
    """

    num_frames: int
    fps: float
    num_context: int = 0
    mel_margin: int = 0
    sound_hz: int = MEL_RATE_HZ
    silence: float = LOG_FLOOR

    @property
    def num_mel_frames(self) -> int:
        """L, even: the mel frames of the window alone."""
        return int(self.num_frames / self.fps * MEL_RATE_HZ) // 2 * 2


@dataclass(frozen=True)
class WindowBatch:
    """B windows.

    Attributes:
        motion: (B, C + T, D), not normalised; context first.
        mask: (B, C + T), 1 where the frame is real.
        phones: (B, C + T) index of the phone at every frame, `UNKNOWN` where none is known.
        log_mel: (B, L, 80) of the window alone, and `units` (B, L / 2); `mel_mask` (B, L) is 1 where there is motion.
        wide_sound: (B, L', 80) log-mel around context and window, or what else an encoder reads; `first_frame_s` (B,) is the
            time in it of the first frame.
        start: (B,) frame of its clip that the window begins with, after the context; `clip` (B,) index of the clip.
    """

    motion: Tensor
    mask: Tensor
    phones: Tensor
    log_mel: Tensor
    units: Tensor
    mel_mask: Tensor
    wide_sound: Tensor
    first_frame_s: Tensor
    has_context: Tensor
    start: Tensor
    clip: Tensor

    def to(self, device: torch.device) -> "WindowBatch":
        """The batch on a device."""
        return WindowBatch(**{name: value.to(device) for name, value in vars(self).items()})

    def item(self, index: int) -> "WindowBatch":
        """One window of the batch, as a batch."""
        return WindowBatch(**{name: value[index : index + 1] for name, value in vars(self).items()})


def draw_windows(
    clips: list[TrainingClip],
    shape: WindowShape,
    batch_size: int,
    generator: torch.Generator,
    *,
    start_share: float = 0.15,
    end_share: float = 0.0,
) -> WindowBatch:
    """Draws clips in proportion to their length, and a place in each.

    Args:
        start_share: share of windows put at the very start of their clip, where there is no context.
        end_share: share of windows that may reach beyond the end of their clip by up to three quarters, as the last
            window of a sampled clip does; what lies beyond is masked.
    """
    lengths = torch.tensor([len(clip.motion) for clip in clips], dtype=torch.float)
    chosen = torch.multinomial(lengths, batch_size, replacement=True, generator=generator)
    places = torch.rand(batch_size, 2, generator=generator)
    rows: list[tuple[Tensor, ...]] = []
    for index, (place, lot) in zip(chosen.tolist(), places.tolist(), strict=True):
        clip = clips[index]
        may_end = lot >= 1 - end_share
        last = len(clip.motion) - (shape.num_frames // 4 if may_end else shape.num_frames)
        if last < shape.num_context or lot < start_share:
            start = 0
        else:
            start = shape.num_context + int(place * (last - shape.num_context + 1))
            start = _on_a_tick(start, shape.num_context, last, shape.fps)
        rows.append((*_cut(clip, start, shape), chosen[len(rows)]))
    columns = [torch.stack(column) for column in zip(*rows, strict=True)]
    return WindowBatch(*columns)


def draw_voices(clips: list[TrainingClip], chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Two seconds of other speech by the speakers of some clips, so that a voice can be described without what it says.

    Args:
        chosen: (B,) indices of clips.

    Returns:
        (B, 200, 80) log-mel; from the clip itself where its speaker has no other.
    """
    of_subject: dict[str, list[int]] = {}
    for index, clip in enumerate(clips):
        of_subject.setdefault(clip.subject, []).append(index)
    rows = []
    for index, (which, place) in zip(chosen.tolist(), torch.rand(len(chosen), 2, generator=generator), strict=True):
        others = [k for k in of_subject[clips[index].subject] if k != index] or [index]
        mel = clips[others[int(which * len(others))]].log_mel
        rows.append(cut_mel(mel, int(place * max(1, len(mel) - _VOICE_MEL_FRAMES)), _VOICE_MEL_FRAMES))
    return torch.stack(rows)


def window_at(clip: TrainingClip, start: int, shape: WindowShape) -> WindowBatch:
    """A batch of one window that starts at motion frame `start`; frames beyond the clip are masked."""
    row = (*_cut(clip, start, shape), torch.tensor(0))
    return WindowBatch(*(column[None] for column in row))


def windows_at_starts(clips: list[TrainingClip], shape: WindowShape) -> list[WindowBatch]:
    """The first window of every clip, in batches of a few."""
    rows = [(*_cut(clip, 0, shape), torch.tensor(index)) for index, clip in enumerate(clips)]
    batches = [rows[first : first + _CLIPS_AT_ONCE] for first in range(0, len(rows), _CLIPS_AT_ONCE)]
    return [WindowBatch(*map(torch.stack, zip(*batch, strict=True))) for batch in batches]


def _on_a_tick(start: int, first: int, last: int, fps: float) -> int:
    """The start within two frames, first to last, that stands nearest a tick of the 50 Hz clock.

    At 25 fps every frame stands on one. At 30 every third does; others would be paired with speech up to 10 ms away.
    """

    def distance(frame: int) -> float:
        ticks = frame / fps * MEL_RATE_HZ / 2
        return round(abs(ticks - round(ticks)), 6)

    near = range(max(first, start - 2), min(last, start + 2) + 1)
    return min(near, key=lambda frame: (distance(frame), abs(frame - start)))


def _cut(clip: TrainingClip, start: int, shape: WindowShape) -> tuple[Tensor, ...]:
    num_frames = shape.num_context + shape.num_frames
    index = torch.arange(start - shape.num_context, start + shape.num_frames)
    mask = ((index >= 0) & (index < len(clip.motion))).float()
    inside = index.clamp(0, len(clip.motion) - 1)
    motion = clip.motion[inside]
    # The window's own speech starts at the mel frame, even, nearest to its first motion frame.
    first = round(start / shape.fps * MEL_RATE_HZ / 2) * 2
    spoken = (first + torch.arange(shape.num_mel_frames)) < len(clip.motion) / shape.fps * MEL_RATE_HZ
    units = clip.units[(first // 2 + torch.arange(shape.num_mel_frames // 2)).clamp(max=len(clip.units) - 1)]
    wide, first_frame_s = mel_around(
        clip.log_mel if clip.sound is None else clip.sound,
        start - shape.num_context,
        num_frames,
        shape.fps,
        shape.mel_margin,
        rate_hz=shape.sound_hz,
        silence=shape.silence,
    )
    return (
        motion,
        mask,
        torch.where(mask > 0, clip.phones[inside], UNKNOWN),
        cut_mel(clip.log_mel, first, shape.num_mel_frames),
        units,
        spoken.float(),
        wide,
        torch.tensor(first_frame_s),
        torch.tensor(start >= shape.num_context > 0),
        torch.tensor(start),
    )
