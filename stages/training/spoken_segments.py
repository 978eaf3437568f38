"""Short segments of speech with what is known of them, truly and by what a face tells: what a vocoder learns from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.artifacts.clips import ClipFile
from stages.audio.log_mel import HOP_SAMPLES, cut_mel, loudness_gain, speech_log_mel
from stages.audio.waveform import check_spoken
from stages.heads.head import Head
from stages.models.mesh_to_speech import MeshToSpeech
from stages.models.reconstruction import reconstruct_mel
from stages.runtime.progress import Progress, silent


@dataclass(frozen=True)
class SpokenClip:
    """One clip; memory is why the kinds of number are small.

    Attributes:
        waveform: (S,) i16, S = 160 L.
        gain: brings the waveform, as -1..1, to the common loudness.
        log_mel: (1 or 2, L, 80) f16, L even: true, and as the mesh-to-speech model hears it in the face.
        units: (1 or 2, L / 2) i16: true, and as heard.
        voice: (voice_dim,).
    """

    id: str
    waveform: Tensor
    gain: float
    log_mel: Tensor
    units: Tensor
    voice: Tensor


@dataclass(frozen=True)
class SegmentBatch:
    """B segments: `log_mel` (B, L, 80), `units` (B, L / 2), `voice` (B, voice_dim), `waveform` (B, L * 160), `clip` (B,)."""

    log_mel: Tensor
    units: Tensor
    voice: Tensor
    waveform: Tensor
    clip: Tensor

    def to(self, device: torch.device) -> "SegmentBatch":
        """The batch on a device."""
        return SegmentBatch(**{name: value.to(device) for name, value in vars(self).items()})

    def item(self, index: int) -> "SegmentBatch":
        """A batch of one of them."""
        return SegmentBatch(**{name: value[index : index + 1] for name, value in vars(self).items()})


def load_spoken_clips(
    file: ClipFile,
    clip_ids: list[str],
    model: MeshToSpeech,
    head: Head,
    *,
    heard: bool,
    progress: Progress = silent,
) -> list[SpokenClip]:
    """Reads clips and, if `heard`, listens to their faces once.

    Raises:
        ThunderError: a clip without speech.
    """
    device = model.mel_mean.device
    clips = []
    with progress("listening to faces" if heard else "reading speech", total=len(clip_ids)) as advance:
        for clip_id in clip_ids:
            clip = file.read(clip_id)
            check_spoken(clip.waveform, f"{file.path}: clip {clip_id}")
            sound = torch.from_numpy(clip.waveform).to(device)
            mel = speech_log_mel(sound)  # (L, 80)
            units = model.name_units(sound, mel)  # (L // 2,)
            motion = torch.from_numpy(clip.motion).to(device)[None]
            told, logits, voice = reconstruct_mel(model, head, motion if heard else motion[:, :0], clip.fps, sound)
            mels, named = [mel], [units]
            if heard:
                mels.append(told[0])
                named.append(logits[0].argmax(-1))
            length = min(*map(len, mels), *(2 * len(n) for n in named)) // 2 * 2
            if length == 0:
                continue  # shorter than two mel frames
            clips.append(
                SpokenClip(
                    clip_id,
                    sound[: length * HOP_SAMPLES].cpu(),
                    float(loudness_gain(sound.float() / 32768)),
                    torch.stack([m[:length] for m in mels]).half().cpu(),
                    torch.stack([n[: length // 2] for n in named]).short().cpu(),
                    voice[0].cpu(),
                )
            )
            advance()
    return clips


def draw_segments(
    clips: list[SpokenClip], num_mel_frames: int, batch_size: int, heard_share: float, generator: torch.Generator
) -> SegmentBatch:
    """Draws clips in proportion to their length, a place in each, and whether its mel and units are the true ones.

    Args:
        num_mel_frames: L, even.
        heard_share: share of segments as the mesh-to-speech model hears them.
    """
    lengths = torch.tensor([clip.log_mel.shape[1] for clip in clips], dtype=torch.float)
    chosen = torch.multinomial(lengths, batch_size, replacement=True, generator=generator)
    lots = torch.rand(batch_size, 2, generator=generator).tolist()
    rows: list[tuple[Tensor, ...]] = []
    for index, (place, lot) in zip(chosen.tolist(), lots, strict=True):
        clip = clips[index]
        start = 2 * int(place * (max(0, clip.log_mel.shape[1] - num_mel_frames) // 2 + 1))
        rows.append((*_cut(clip, start, num_mel_frames, kind=int(lot < heard_share)), chosen[len(rows)]))
    return SegmentBatch(*(torch.stack(column) for column in zip(*rows, strict=True)))


def segment_in_the_middle(clip: SpokenClip, num_mel_frames: int, kind: int) -> SegmentBatch:
    """A batch of the one segment in the middle of a clip; kind 0 is true, 1 as heard."""
    start = max(0, clip.log_mel.shape[1] - num_mel_frames) // 4 * 2
    return SegmentBatch(*(column[None] for column in (*_cut(clip, start, num_mel_frames, kind), torch.tensor(0))))


def _cut(clip: SpokenClip, start: int, num_mel_frames: int, kind: int) -> tuple[Tensor, ...]:
    """What a segment consists of; silence follows a clip that is shorter."""
    kind = min(kind, len(clip.log_mel) - 1)
    waveform = clip.waveform[start * HOP_SAMPLES : (start + num_mel_frames) * HOP_SAMPLES].float() / 32768 * clip.gain
    units = clip.units[kind, (start // 2 + torch.arange(num_mel_frames // 2)).clamp(max=clip.units.shape[1] - 1)]
    return (
        cut_mel(clip.log_mel[kind, start : start + num_mel_frames].float(), 0, num_mel_frames),
        units.long(),
        clip.voice,
        torch.nn.functional.pad(waveform, (0, num_mel_frames * HOP_SAMPLES - len(waveform))),
    )
