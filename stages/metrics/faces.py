"""One clip's takes and truth as vertices, whole regions for one take or few vertices for all takes.

Memory stays bounded whatever the length of the clip: means over vertices are taken block by block of vertices.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from stages.heads.head import Head
from stages.metrics.speech_recovery import Heard, hear
from stages.models.mesh_to_speech import MeshToSpeech

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

    def vertices(self, indices: Tensor, *, pose: bool = False) -> Tensor:
        """Some of the vertices (..., T, M, 3), by default without head pose."""
        if self.exact is not None:
            return self.exact[:, indices]
        return self.head.vertices(self.motion, template=self.template, indices=indices, pose=pose)


@dataclass(frozen=True)
class ClipFaces:
    """What the metrics of one clip are computed from.

    Attributes:
        takes: motion (N, T, D).
        truth: motion (T, D) of the same T, or None.
        regions: name -> vertex indices (M,); `all` is every vertex.
        waveform: (S,) i16, 16 kHz, the speech that the takes were made from.
        judge: the frozen mesh-to-speech model that listens to the faces, where there is one.
    """

    id: str
    fps: float
    takes: Face
    truth: Face | None
    regions: dict[Region, Tensor] = field(repr=False)
    waveform: Tensor
    judge: MeshToSpeech | None = None

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

    def compare(self, region: Region, formula: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """(N,): `formula(take (T, M, 3), truth (T, M, 3), template (M, 3))` over a whole region, one take at a time."""
        indices = self.regions[region]
        truth, template = self.true_face.vertices(indices), self.takes.template[indices]
        takes = (Face(self.takes.head, motion, self.takes.template) for motion in self.takes.motion)
        return torch.stack([formula(take.vertices(indices), truth, template) for take in takes])

    def average(self, region: Region, formula: Callable[[Tensor], Tensor]) -> Tensor:
        """Mean over vertices of what `formula(indices (M,))` says of a block of them, itself a mean over vertices."""
        indices = self.regions[region]
        block_length = max(1, _BLOCK_SIZE // (3 * self.num_takes * self.takes.num_frames))
        blocks = indices.split(block_length)
        return torch.stack([formula(block) * len(block) for block in blocks]).sum(0) / len(indices)

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
