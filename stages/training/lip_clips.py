"""Clips as a lip reader sees and hears them: films of the mouth at 25 fps, sound, text, and the phone of every label."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.artifacts.clips import ClipFile
from stages.audio.waveform import to_float
from stages.heads.head import build_head
from stages.metrics.phone_confusions import UNKNOWN, phones_at
from stages.models.characters import BLANK, encode
from stages.models.ctc import frames_needed
from stages.models.lip_reader import VIDEO_RATE_HZ, LipReader, at_video_rate
from stages.rendering.mouth_crops import CROP_PIXELS, Looks, film_mouth, mouth_scene, varied_looks
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.training.transcribed_clips import TranscribedClip

# Shares of the range of brightness: a sensor's pattern, offset and slope of a film's brightness.
_NOISE, _OFFSET, _SLOPE = 0.02, 0.05, 0.15


@dataclass(frozen=True)
class LipClip:
    """One clip.

    Attributes:
        text: its normalised transcript.
        motion: (T, D) at 25 fps; frame n is what was at n / 25 s.
        template: (V, 3) its subject at rest.
        sound: as long, by `LipReader.sound_of`.
        phones: (T * labels a frame,) index of the phone at every label; `UNKNOWN` where that is not known.
    """

    id: str
    text: str
    motion: Tensor
    template: Tensor
    sound: Tensor
    phones: Tensor

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.motion)


def load_lip_clips(
    file: ClipFile, spoken: list[TranscribedClip], model: LipReader, progress: Progress = silent
) -> tuple[list[LipClip], list[str]]:
    """What of some clips with transcripts is seen and heard.

    Args:
        file: what the clips were read from.
        model: whose rates and sound they are for.

    Returns:
        The clips, and the ids of those whose text has more characters than CTC can fit into their length.
    """
    clips, dense = [], []
    labels_hz = VIDEO_RATE_HZ * model.config.labels_per_frame
    with progress("reading faces", total=len(spoken)) as advance:
        for told in spoken:
            advance()
            clip = file.read(told.id)
            motion = at_video_rate(torch.from_numpy(clip.motion)[None], clip.fps)[0]
            num_labels = len(motion) * model.config.labels_per_frame
            if num_labels < frames_needed([ord(c) for c in told.text]):
                dense.append(told.id)
                continue
            clips.append(
                LipClip(
                    told.id,
                    told.text,
                    motion,
                    torch.from_numpy(file.template(clip.subject)).float(),
                    model.sound_of(told.log_mel, torch.from_numpy(to_float(clip.waveform)), len(motion)),
                    torch.from_numpy(phones_at(clip.phones, num_labels, labels_hz)),
                )
            )
    return clips, dense


class FilmStudio:
    """Films clips, and keeps the films: drawing a film costs more than reading it.

    A clip is filmed when it is first asked for, under a look of its own, and with the chance `new_look` again under another.
    """

    def __init__(self, file: ClipFile, device: torch.device, new_look: float) -> None:
        self.head = build_head(file.head).to(device)
        self.scene = mouth_scene(file.head, device)
        self.device = device
        self.new_look = new_look
        self._kept: dict[str, Tensor] = {}

    def film(self, clip: LipClip, looks: Looks | None = None) -> Tensor:
        """(T, 96, 96) uint8 of a clip, under the plain look where none is given.

        Raises:
            ThunderError: a frame that shows no mouth.
        """
        try:
            return film_mouth(self.scene, self.head, clip.motion.to(self.device), clip.template.to(self.device), looks)
        except ThunderError as error:
            raise ThunderError(f"clip {clip.id}: {error}") from error

    def varied(self, clips: list[LipClip], generator: torch.Generator) -> list[Tensor]:
        """Films of some clips under looks drawn at random; the dice are thrown whether or not a film is at hand."""
        looks = varied_looks(len(clips), generator)
        again = torch.rand(len(clips), generator=generator) < self.new_look
        films = []
        for k, clip in enumerate(clips):
            if clip.id not in self._kept or bool(again[k]):
                self._kept[clip.id] = self.film(clip, looks.take(torch.tensor([k])))
            films.append(self._kept[clip.id])
        return films


@dataclass(frozen=True)
class LipBatch:
    """B clips, padded to the longest.

    Attributes:
        crops: (B, T, height, width) in 0..1.
        sound: (B, n, 80) or (B, n).
        mask: (B, T), True where a frame is real.
        characters: (B, U) numbers from 1, padded with blanks; `num_characters` (B,) are the clip's.
        phones: (B, labels), `UNKNOWN` where that is not known.
        ids: of the clips.
    """

    crops: Tensor
    sound: Tensor
    mask: Tensor
    characters: Tensor
    num_characters: Tensor
    phones: Tensor
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> "LipBatch":
        """The batch on a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return LipBatch(**tensors, ids=self.ids)

    def item(self, index: int) -> "LipBatch":
        """One clip of the batch, as a batch."""
        tensors = {name: value[index : index + 1] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return LipBatch(**tensors, ids=self.ids[index : index + 1])


def collate(clips: list[LipClip], films: list[Tensor], characters: str) -> LipBatch:
    """Clips side by side, with their films (T, height, width) of bytes."""
    labels = [torch.tensor(encode(clip.text, characters)) for clip in clips]
    lengths = torch.tensor([clip.num_frames for clip in clips])
    return LipBatch(
        _pad(films, 0).float().div_(255),
        _pad([clip.sound for clip in clips], 0),
        torch.arange(int(lengths.max())) < lengths[:, None],
        _pad(labels, BLANK),
        torch.tensor([len(row) for row in labels]),
        _pad([clip.phones for clip in clips], UNKNOWN),
        tuple(clip.id for clip in clips),
    )


def vary_film(film: Tensor, generator: torch.Generator, side: int) -> Tensor:
    """A film as another camera would take it: (T, 96, 96) bytes -> (T, side, side) bytes.

    A window anywhere in the crop, mirrored or not, its brightness stretched and moved, and a sensor's pattern on it.
    """
    room = CROP_PIXELS - side + 1
    top, left = torch.randint(room, (2,), generator=generator).tolist()
    window = film[:, top : top + side, left : left + side]
    if torch.rand((), generator=generator) < 0.5:
        window = window.flip(-1)
    slope, offset = torch.randn(2, generator=generator).tolist()
    noise = _NOISE * torch.randn(window.shape[1:], generator=generator)
    # slope' (x - 1/2) + 1/2 + offset' + noise, of bytes, and with few passes over a film: it is drawn beside every step.
    steeper = 1 + _SLOPE * slope
    pattern = 255 * ((1 - steeper) / 2 + _OFFSET * offset + noise).to(film.device)
    return window.float().mul_(steeper).add_(pattern).clamp_(0, 255).round_().to(torch.uint8)


def _pad(rows: list[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
