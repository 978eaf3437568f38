"""Clips with transcripts, and batches of clips of like length, for a training that reads speech."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile
from stages.audio.log_mel import LOG_FLOOR, speech_log_mel
from stages.audio.waveform import is_silent, to_float
from stages.metrics.phone_confusions import UNKNOWN, phones_at
from stages.models.characters import BLANK, collect_characters, encode, normalise_text
from stages.models.ctc import frames_needed
from stages.models.recogniser import LABEL_RATE_HZ
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent

# A batch is drawn from this many batches' worth of clips of like length: enough to mix, few enough to need little padding.
_BATCHES_IN_A_BUCKET = 8

AnyClip = TypeVar("AnyClip")


@dataclass(frozen=True)
class TranscribedClip:
    """One clip.

    Attributes:
        text: its normalised transcript.
        log_mel: (L, 80), natural logarithm, of the loudness-normalised speech.
        phones: (n,) index of the phone at every label, 50 Hz; `UNKNOWN` where that is not known.
    """

    id: str
    text: str
    log_mel: Tensor
    phones: Tensor


@dataclass(frozen=True)
class TranscribedClips:
    """Clips to read, the characters in them, and reason -> ids of those that were left out."""

    clips: list[TranscribedClip]
    characters: str
    left_out: dict[str, list[str]] = field(default_factory=dict)


def load_transcribed_clips(
    file: ClipFile,
    split: str,
    *,
    max_clip_s: float,
    max_characters: int,
    known: str | None = None,
    progress: Progress = silent,
) -> TranscribedClips:
    """The clips of a split that a recogniser can learn from or be tried on.

    Args:
        max_clip_s: longer clips are left out.
        max_characters: of a language; one with more, such as Mandarin in hanzi, is left out.
        known: characters that texts may have; None takes those that the texts have.
    """
    left_out: dict[str, list[str]] = defaultdict(list)
    found: dict[str, list[TranscribedClip]] = defaultdict(list)
    ids = file.ids(split)
    with progress(f"reading {split}", total=len(ids)) as advance:
        for clip_id in ids:
            clip = file.read(clip_id)
            spoken, reason = _prepare(clip, max_clip_s)
            if spoken is None:
                left_out[reason].append(clip_id)
            else:
                found[clip.language.split("-")[0]].append(spoken)
            advance()
    clips: list[TranscribedClip] = []
    for language, some in found.items():
        number = len(collect_characters(clip.text for clip in some))
        if number > max_characters:
            left_out[f"language {language} has {number} characters, more than {max_characters}"] += [c.id for c in some]
        else:
            clips += some
    if known is not None:
        strange = [clip.id for clip in clips if not set(clip.text) <= set(known)]
        if strange:
            left_out["characters that no training transcript has"] += strange
        clips = [clip for clip in clips if set(clip.text) <= set(known)]
    characters = known if known is not None else collect_characters(clip.text for clip in clips)
    return TranscribedClips(clips, characters, dict(left_out))


def load_both_splits(
    file: ClipFile, *, max_clip_s: float, max_characters: int, progress: Progress = silent
) -> tuple[TranscribedClips, TranscribedClips]:
    """Clips to train on, and clips to validate on, whose texts have no other characters; see `load_transcribed_clips`.

    Raises:
        ThunderError: no training clip is left; says why, and which clips.
    """
    limits: dict[str, Any] = {"max_clip_s": max_clip_s, "max_characters": max_characters, "progress": progress}
    spoken = load_transcribed_clips(file, "train", **limits)
    check_some(spoken, file, "train")
    return spoken, load_transcribed_clips(file, "val", **limits, known=spoken.characters)


def left_out_of(*parts: TranscribedClips) -> dict[str, list[str]]:
    """Reason -> ids of the clips that any of the parts left out."""
    together: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        for reason, ids in part.left_out.items():
            together[reason] += ids
    return dict(together)


def check_some(spoken: TranscribedClips, file: ClipFile, split: str) -> None:
    """Refuses a dataset of which nothing can be learned.

    Raises:
        ThunderError: no clip is left; says why, and which clips.
    """
    if spoken.clips:
        return
    if not spoken.left_out:
        raise ThunderError(f"{file.path}: no clip in split {split!r}; preprocess a corpus with more subjects or clips")
    reasons = "; ".join(f"{reason}: {_some(ids)}" for reason, ids in spoken.left_out.items())
    raise ThunderError(
        f"{file.path}: no clip of split {split!r} can teach reading ({reasons}); preprocess a corpus with speech and "
        f"transcripts, one <recording>.txt beside each sound"
    )


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _prepare(clip: Clip, max_clip_s: float) -> tuple[TranscribedClip | None, str]:
    """The clip, or why it is left out."""
    text = normalise_text(clip.transcript)
    if not text:
        return None, "no transcript"
    if clip.duration_s > max_clip_s:
        return None, f"longer than {max_clip_s:g} s"
    if is_silent(to_float(clip.waveform)):
        return None, "silent"
    mel = speech_log_mel(torch.from_numpy(clip.waveform))
    num_labels = (len(mel) + 1) // 2
    if num_labels < frames_needed([ord(c) for c in text]):
        return None, "more characters than CTC can fit into their length, one in 20 ms"
    phones = torch.from_numpy(phones_at(clip.phones, num_labels, LABEL_RATE_HZ))
    return TranscribedClip(clip.id, text, mel, phones), ""


@dataclass(frozen=True)
class SpeechBatch:
    """B clips, padded to the longest with silence.

    Attributes:
        log_mel: (B, L, 80).
        num_labels: (B,) how many of the L / 2 labels are the clip's.
        characters: (B, U) numbers from 1, padded with blanks; `num_characters` (B,) are the clip's.
        phones: (B, L / 2), `UNKNOWN` where that is not known.
        ids: of the clips.
    """

    log_mel: Tensor
    num_labels: Tensor
    characters: Tensor
    num_characters: Tensor
    phones: Tensor
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> "SpeechBatch":
        """The batch on a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return SpeechBatch(**tensors, ids=self.ids)

    def item(self, index: int) -> "SpeechBatch":
        """One clip of the batch, as a batch."""
        tensors = {name: value[index : index + 1] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return SpeechBatch(**tensors, ids=self.ids[index : index + 1])

    def with_sound(self, log_mel: Tensor) -> "SpeechBatch":
        """The same clips, recorded otherwise."""
        return replace(self, log_mel=log_mel)


def collate(clips: list[TranscribedClip], characters: str) -> SpeechBatch:
    """Clips side by side."""
    labels = [torch.tensor(encode(clip.text, characters)) for clip in clips]
    return SpeechBatch(
        _pad([clip.log_mel for clip in clips], LOG_FLOOR),
        torch.tensor([len(clip.phones) for clip in clips]),
        _pad(labels, BLANK),
        torch.tensor([len(row) for row in labels]),
        _pad([clip.phones for clip in clips], UNKNOWN),
        tuple(clip.id for clip in clips),
    )


def _pad(rows: list[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


def draw_like_lengths(clips: list[AnyClip], batch_size: int, generator: torch.Generator) -> list[AnyClip]:
    """A batch of clips of like length; over many draws every clip comes about as often as any other.

    Args:
        clips: sorted by length.
    """
    num_buckets = max(1, len(clips) // (_BATCHES_IN_A_BUCKET * batch_size))
    borders = [k * len(clips) // num_buckets for k in range(num_buckets + 1)]
    bucket = int(torch.randint(num_buckets, (), generator=generator))
    first, last = borders[bucket], borders[bucket + 1]
    chosen = torch.randperm(last - first, generator=generator)[:batch_size] + first
    return [clips[k] for k in chosen.tolist()]
