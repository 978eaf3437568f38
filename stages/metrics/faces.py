"""One clip's takes and truth as vertices: a region through time for one take, or a few frames of all takes.

Means over frames are taken block by block of frames, so that memory does not grow with the length of the clip.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.log_mel import speech_log_mel
from stages.heads.head import Head
from stages.metrics.lip_readability import LipJudge, MouthOutOfSightError
from stages.metrics.readability import read_and_compare
from stages.metrics.speech_recovery import Heard, hear
from stages.models.mesh_to_speech import MeshToSpeech
from stages.models.recogniser import Recogniser
from stages.models.reconstruction import reconstruct_mel, to_sound
from stages.models.vocoder import Vocoder

# Numbers in one block of vertices (takes x frames x vertices x 3): 16 MiB of float32, a few times that while computing.
_BLOCK_SIZE = 1 << 22

Region = str
ALL_VERTICES: Region = "all"


@dataclass(frozen=True)
class Face:
    """A motion on a subject's face; vertices are computed when asked for.

    Attributes:
        motion: (..., T, D).
        template: (V, 3), the subject's face at rest, head units.
        exact: (T, V, 3), the recorded vertices, where a corpus has them and the motion only approximates them.
    """

    head: Head
    motion: Tensor
    template: Tensor
    exact: Tensor | None = None

    @property
    def num_frames(self) -> int:
        """T."""
        return self.motion.shape[-2]

    def vertices(self, indices: Tensor, *, frames: slice = slice(None), pose: bool = False) -> Tensor:
        """Some of the vertices, of all frames or some (..., t, M, 3); by default without head pose."""
        if self.exact is not None:
            return self.exact[frames][:, indices]
        return self.head.vertices(self.motion[..., frames, :], template=self.template, indices=indices, pose=pose)


@dataclass(frozen=True)
class ClipFaces:
    """What the metrics of one clip are computed from.

    Attributes:
        takes: motion (N, T, D).
        truth: motion (T, D) of the same T, or None.
        regions: name -> vertex indices (M,); `all` is every vertex.
        waveform: (S,) i16, 16 kHz, the speech that the takes were made from.
        transcript: what is said.
        closures: start and end in seconds of every phone in it for which the lips close, where phones are known.
        judge: the frozen mesh-to-speech model that listens to the faces, where there is one.
        reader: the frozen recogniser that reads what the judge hears, where there is one.
        vocoder: makes sound of what the judge hears for the reader; without, it reads the judge's spectrogram.
        language: that it is said in.
        lip_judge: reads the lips of the faces, where it can read this clip.
        seconds_a_take: how long a take took to make, where that was noted.
    """

    id: str
    fps: float
    takes: Face
    truth: Face | None
    regions: dict[Region, Tensor] = field(repr=False)
    waveform: Tensor
    transcript: str = ""
    closures: tuple[tuple[float, float], ...] = ()
    judge: MeshToSpeech | None = None
    reader: Recogniser | None = None
    vocoder: Vocoder | None = None
    language: str = "unknown"
    lip_judge: LipJudge | None = None
    seconds_a_take: float | None = None

    @property
    def speech_s(self) -> float:
        """Length of the speech in seconds."""
        return len(self.waveform) / SAMPLE_RATE_HZ

    @property
    def num_takes(self) -> int:
        """N."""
        return len(self.takes.motion)

    @property
    def true_face(self) -> Face:
        """The truth, for metrics that need it and are asked only where there is one."""
        if self.truth is None:
            raise ValueError(f"clip {self.id} has no truth")
        return self.truth

    def has(self, needs: Collection[str]) -> bool:
        """Whether this clip has what a metric needs and some clips lack: a truth, phones that close the lips, a text that the
        lip reader can write, the time that its takes took."""
        has = {
            "reference": self.truth,
            "closures": self.closures,
            "lipreader": self.lip_judge,
            "times": self.seconds_a_take,
        }
        return all(has[need] for need in needs if need in has)

    def compare(
        self, region: Region, formula: Callable[[Tensor, Tensor, Tensor], Tensor], *, pose: bool = False
    ) -> Tensor:
        """(N,): `formula(take (T, M, 3), truth (T, M, 3), template (M, 3))` over a whole region, one take at a time."""
        indices = self.regions[region]
        truth, template = self.true_face.vertices(indices, pose=pose), self.takes.template[indices]
        return torch.stack([formula(take.vertices(indices, pose=pose), truth, template) for take in self._each_take()])

    def _each_take(self) -> list[Face]:
        return [Face(self.takes.head, motion, self.takes.template) for motion in self.takes.motion]

    def gap(self, face: Face) -> Tensor:
        """Distance (..., T) of the mid-points of the inner lips, head units."""
        landmarks = face.head.record.landmarks
        indices = torch.tensor([landmarks["lip_top"], landmarks["lip_bottom"]], device=face.motion.device)
        top, bottom = face.vertices(indices).unbind(-2)
        return torch.linalg.vector_norm(top - bottom, dim=-1)

    def average(self, region: Region, formula: Callable[[Tensor, slice], Tensor], *, reach: int = 0) -> Tensor:
        """Mean over frames of `formula(indices (M,), frames)`, itself a mean over the frames that it is given.

        Args:
            reach: frames beyond its own that the formula needs to say something of a frame: 3 for a third difference.

        Returns:
            What the formula returns; NaN where the clip has no more frames than `reach`.
        """
        indices = self.regions[region]
        length = max(1, _BLOCK_SIZE // (3 * self.num_takes * len(indices)))
        total = self.takes.num_frames - reach
        if total < 1:
            return self.takes.template.new_tensor(torch.nan)
        values = []
        for start in range(0, total, length):
            stop = min(start + length, total)
            values.append(formula(indices, slice(start, stop + reach)) * (stop - start))
        return torch.stack(values).sum(0) / total

    @cached_property
    def takes_heard(self) -> Heard:
        """What the judge hears in the takes, (N,) each."""
        return self._hear(self.takes.head, self.takes.motion)

    @cached_property
    def truth_heard(self) -> Heard:
        """What the judge hears in the truth, (1,) each."""
        return self._hear(self.true_face.head, self.true_face.motion[None])

    def _hear(self, head: Head, motion: Tensor) -> Heard:
        if self.judge is None:
            raise ValueError(f"clip {self.id} has no judge")
        return hear(self.judge, head, motion, self.fps, self.waveform)

    @cached_property
    def takes_read(self) -> Tensor:
        """Character error rate of what the judge hears in all takes together, ()."""
        return self._read(self.takes.head, self.takes.motion)

    @cached_property
    def truth_read(self) -> Tensor:
        """Character error rate of what the judge hears in the truth, ()."""
        return self._read(self.true_face.head, self.true_face.motion[None])

    @cached_property
    def takes_lip_read(self) -> list[str]:
        """What is read in the lips of each take, N texts.

        Raises:
            MouthOutOfSightError: a frame of one shows no mouth.
        """
        return [self._read_lips(take, f"take {k}") for k, take in enumerate(self._each_take())]

    @cached_property
    def truth_lip_read(self) -> list[str]:
        """What is read in the lips of the truth, one text.

        Raises:
            MouthOutOfSightError: a frame of it shows no mouth.
        """
        return [self._read_lips(self.true_face, "the true motion")]

    def _read_lips(self, face: Face, whose: str) -> str:
        try:
            return self.lips.read(face, self.fps)
        except MouthOutOfSightError as error:
            raise MouthOutOfSightError(
                f"clip {self.id}: {whose}: {error}, or leave cer and ver out of --metrics"
            ) from error

    @property
    def lips(self) -> LipJudge:
        """The lip reader, for metrics that need it and are asked only where it can read the clip."""
        if self.lip_judge is None:
            raise ValueError(f"clip {self.id} has nobody to read its lips")
        return self.lip_judge

    @cached_property
    def visemes(self) -> list[str]:
        """Those of the transcript; none where nobody reads lips."""
        return [] if self.lip_judge is None else self.lip_judge.visemes([self.transcript], self.language)[0]

    @cached_property
    def speech_read(self) -> Tensor:
        """Character error rate of the speech itself, ()."""
        return self._compare(speech_log_mel(self.waveform)[None])

    def _read(self, head: Head, motion: Tensor) -> Tensor:
        if self.judge is None:
            raise ValueError(f"clip {self.id} has no judge")
        mel, unit_logits, voice = reconstruct_mel(self.judge, head, motion, self.fps, self.waveform)
        if self.vocoder is not None:
            sound = to_sound(mel, unit_logits.argmax(-1), voice, self.vocoder)
            mel = torch.stack([speech_log_mel(32768 * take) for take in sound])
        return self._compare(mel)

    def _compare(self, log_mel: Tensor) -> Tensor:
        if self.reader is None:
            raise ValueError(f"clip {self.id} has no reader")
        return torch.tensor(read_and_compare(self.reader, log_mel, self.transcript))
