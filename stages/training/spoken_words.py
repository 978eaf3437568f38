"""What windows of clips say, for a loss that reads them: runs of whole words, their frames at 25 fps, their sound, their text.

A window holds a part of a sentence, and a transcript knows no times. So the frozen reader itself is asked, once a clip, when
it hears each character of the transcript that it is told (`expected_frames` of CTC): that works for every corpus with
transcripts, whether or not it knows the times of phones, and phones would not tell which letters they are written with. Words
are parted half-way between the last character of one and the first of the next.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile
from stages.audio.log_mel import speech_log_mel
from stages.audio.waveform import to_float
from stages.models.characters import BLANK, normalise_text
from stages.models.ctc import expected_frames, frames_needed
from stages.models.lip_front_ends import MEL_FRAMES, SAMPLES
from stages.models.lip_reader import VIDEO_RATE_HZ, LipReader, labels_of
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.training.clips_in_memory import TrainingClip
from stages.training.windows import WindowBatch

# Before the first character of a clip, and after its last one, what belongs to them: lips move ahead of the sound.
_MARGIN_S = 0.24


@dataclass(frozen=True)
class SpokenWords:
    """The words of one clip, W of them.

    Attributes:
        labels: of the whole transcript.
        spans: (first label, the one after the last) of each word.
        cuts: W + 1 frames at 25 fps: word k is said from cuts[k] up to, and without, cuts[k + 1].
        waveform: (S,) i16, where the reader hears samples; it hears the clip's log-mel where None.
    """

    labels: list[int]
    spans: list[tuple[int, int]]
    cuts: list[int]
    waveform: Tensor | None = None

    def told(self, first: int, last: int) -> list[int]:
        """The labels of words `first` to `last`, both included."""
        return self.labels[self.spans[first][0] : self.spans[last][1]]


@dataclass(frozen=True)
class Extracts:
    """Runs of words in some of the windows of a batch, K of them, padded to the longest.

    Attributes:
        window: (K,) which window, in rising order.
        position: (K, T') what each crop shows: a frame of the window, fractions allowed, from 0 after the context.
        mask: (K, T'), True where a crop is real.
        sound: (K, 4 T', 80) or (K, 640 T'), what the reader hears beside them.
        labels: (K, U) padded with blanks; `num_labels` (K,) are the run's.
    """

    window: Tensor
    position: Tensor
    mask: Tensor
    sound: Tensor
    labels: Tensor
    num_labels: Tensor

    def __len__(self) -> int:
        return len(self.window)

    def take(self, rows: Tensor) -> "Extracts":
        """Some of them."""
        return Extracts(**{name: value[rows] for name, value in vars(self).items()})

    def of_window(self, window: int) -> "Extracts | None":
        """Those of one window, as of a batch that holds it alone; None where there are none."""
        (rows,) = torch.where(self.window == window)
        some = self.take(rows)
        return replace(some, window=torch.zeros_like(some.window)) if len(rows) else None

    def to(self, device: torch.device) -> "Extracts":
        """The extracts on a device."""
        return Extracts(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Script:
    """What all clips of a training say; None stands for a clip that cannot be read, `left_out` is reason -> ids of those.

    Attributes:
        reader: whose labels, clocks and sound extracts are for; it is not called.
        fps: of the clips' motion.
        most_crops: of an extract.
    """

    clips: Sequence[TrainingClip]
    words: Sequence[SpokenWords | None]
    reader: LipReader
    fps: float
    most_crops: int
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def extracts(self, batch: WindowBatch, generator: torch.Generator, *, num_context: int = 0) -> Extracts | None:
        """A run of words of each window that holds one, as long as `most_crops` allow; None where no window does.

        Args:
            batch: windows of `clips`, on the CPU.
            generator: draws the word that a run grows from.
            num_context: frames of the batch before the window.
        """
        lots = torch.rand(len(batch.start), generator=generator).tolist()
        num_real = batch.mask[:, num_context:].sum(1).long().tolist()
        rows = []
        places = zip(batch.clip.tolist(), batch.start.tolist(), num_real, lots, strict=True)
        for window, (clip, start, real, lot) in enumerate(places):
            words = self.words[clip]
            run = None if words is None else self._run_of_words(words, start, real, lot)
            if words is not None and run is not None:
                rows.append((window, *self._cut(self.clips[clip], words, run, start)))
        return _collate(rows) if rows else None

    def _run_of_words(self, words: SpokenWords, start: int, num_real: int, lot: float) -> tuple[int, int] | None:
        """First and last word of a run within frames `start` to `start + num_real`; None where no word fits."""
        ticks = VIDEO_RATE_HZ / self.fps
        begins, ends = start * ticks - 1e-4, (start + num_real - 1) * ticks + 1e-4
        cuts = words.cuts
        inside = [k for k in range(len(words.spans)) if begins <= cuts[k] and cuts[k + 1] - 1 <= ends]
        inside = [k for k in inside if self._fits(words, k, k)]
        if not inside:
            return None
        first = last = inside[int(lot * len(inside))]
        while last < inside[-1] and self._fits(words, first, last + 1):
            last += 1
        while first > inside[0] and self._fits(words, first - 1, last):
            first -= 1
        return first, last

    def _fits(self, words: SpokenWords, first: int, last: int) -> bool:
        num_crops = words.cuts[last + 1] - words.cuts[first]
        needed = frames_needed(words.told(first, last))
        return num_crops <= self.most_crops and needed <= num_crops * self.reader.config.labels_per_frame

    def _cut(
        self, clip: TrainingClip, words: SpokenWords, run: tuple[int, int], start: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Positions, sound and labels of a run."""
        begins, ends = words.cuts[run[0]], words.cuts[run[1] + 1]
        position = torch.arange(begins, ends) * (self.fps / VIDEO_RATE_HZ) - start
        waveform = torch.zeros(0) if words.waveform is None else words.waveform[SAMPLES * begins : SAMPLES * ends]
        sound = self.reader.sound_of(clip.log_mel[MEL_FRAMES * begins :], waveform / 32768, ends - begins)
        return position, sound, torch.tensor(words.told(*run))


def extracts_of(
    script: Script | None,
    batch: WindowBatch,
    generator: torch.Generator,
    device: torch.device,
    *,
    num_context: int = 0,
) -> Extracts | None:
    """`Script.extracts` on a device; nothing where nobody reads."""
    found = None if script is None else script.extracts(batch, generator, num_context=num_context)
    return None if found is None else found.to(device)


def _collate(rows: list[tuple[int, Tensor, Tensor, Tensor]]) -> Extracts:
    windows, positions, sounds, labels = zip(*rows, strict=True)
    lengths = torch.tensor([len(position) for position in positions])
    return Extracts(
        torch.tensor(windows),
        _pad(positions, 0),
        torch.arange(int(lengths.max())) < lengths[:, None],
        _pad(sounds, 0),
        _pad(labels, BLANK),
        torch.tensor([len(row) for row in labels]),
    )


def _pad(rows: Sequence[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def find_words(
    clips: Sequence[TrainingClip],
    file: ClipFile,
    reader: LipReader,
    fps: float,
    *,
    most_crops: int,
    progress: Progress = silent,
) -> Script:
    """What clips say and when, told by a frozen reader that hears them; `file` is what they were read from."""
    found: list[SpokenWords | None] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    with progress("timing words", total=len(clips)) as advance:
        for clip in clips:
            words, reason = time_words(file.read(clip.id), reader)
            if reason:
                left_out[f"not read from its lips: {reason}"].append(clip.id)
            found.append(words)
            advance()
    return Script(clips, found, reader, fps, most_crops, dict(left_out))


def check_reads_both(reader: LipReader, path: Path) -> None:
    """Refuses a lip reader that cannot hear when words are said, or cannot see them.

    Raises:
        ThunderError: it has one sense alone.
    """
    if reader.config.streams != "both":
        raise ThunderError(
            f"{path}: reads {reader.config.streams} alone; wanted a lip reader of both, which hears when each word is said: "
            f"train one with `thunder train-lipreader`"
        )


def check_some_words(script: Script, file: ClipFile) -> None:
    """Refuses a dataset of which a lip reader can read nothing.

    Raises:
        ThunderError: no clip has words; says why, and which clips.
    """
    if any(words is not None for words in script.words):
        return
    reasons = "; ".join(
        f"{reason.split(': ')[1]}: {', '.join(ids[:3])}{f' and {len(ids) - 3} more' if len(ids) > 3 else ''}"
        for reason, ids in script.left_out.items()
    )
    raise ThunderError(
        f"{file.path}: no training clip can be read from its lips ({reasons}); wanted transcripts, one <recording>.txt beside "
        f"each sound, or leave out --lipreader"
    )


@torch.no_grad()
def time_words(clip: Clip, reader: LipReader) -> tuple[SpokenWords | None, str]:
    """The words of a clip, those of its normalised transcript, or why there are none."""
    text = normalise_text(clip.transcript)
    if not text:
        return None, "no transcript"
    try:
        labels = labels_of(reader, text, clip.id)
        of_words = [len(labels_of(reader, word, clip.id)) for word in text.split()]
    except ThunderError:
        return None, "characters that the lip reader cannot write"
    num_frames = int((clip.num_frames - 1) / clip.fps * VIDEO_RATE_HZ + 1e-6) + 1
    per_frame = reader.config.labels_per_frame
    if num_frames > reader.config.max_frames:
        return None, f"longer than the {reader.config.max_frames / VIDEO_RATE_HZ:g} s that the lip reader was built for"
    if frames_needed(labels) > num_frames * per_frame:
        return None, "more characters than CTC can fit into its length"
    samples, device = torch.from_numpy(clip.waveform), reader.picture_mean.device
    sound = reader.sound_of(speech_log_mel(samples), torch.from_numpy(to_float(clip.waveform)), num_frames)
    mask = torch.ones(1, num_frames, dtype=torch.bool, device=device)
    reading = reader(None, sound[None].to(device), mask)
    # A label stands for the middle of its part of a frame.
    spelled = (expected_frames(reading.log_probs[0], labels).cpu() + 0.5) / per_frame
    spans = word_spans(of_words, len(labels))
    times = spelled.tolist()
    between = [(times[a[1] - 1] + times[b[0]]) / 2 for a, b in pairwise(spans)]
    margin = _MARGIN_S * VIDEO_RATE_HZ
    ends = max(0.0, times[0] - margin), min(float(num_frames), times[-1] + margin)
    cuts = [round(place) for place in (ends[0], *between, ends[1])]
    return SpokenWords(labels, spans, cuts, samples if reader.config.form == "published" else None), ""


def word_spans(of_words: Sequence[int], total: int) -> list[tuple[int, int]]:
    """First label, and the one after the last, of words of some numbers of labels, between which spaces may be spelled."""
    gaps = len(of_words) - 1
    space = (total - sum(of_words)) // gaps if gaps else 0
    spans, first = [], 0
    for number in of_words:
        spans.append((first, first + number))
        first += number + space
    return spans
