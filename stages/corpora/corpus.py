"""What every corpus reader hands on: a head, and recordings that are read when asked.

A reader looks at names and small files only; sounds, motions and meshes are read one recording at a time, in whatever
process asks, so that a corpus never has to fit into memory.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import Phone
from stages.artifacts.head_record import HeadRecord
from stages.runtime.errors import Failure


@dataclass(frozen=True)
class Frames:
    """Vertices of a recording that stay on disk until some of them are asked for: `frames[10:20]` reads ten.

    Attributes:
        read: reads a slice of frames, (n, V, 3) f32, head units; raises `ThunderError`. Works in another process.
        count: T.
        bytes_a_frame: that are read of a disk; 0 where that is not known.
    """

    read: Callable[[slice], NDArray[np.float32]]
    count: int
    bytes_a_frame: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, which: slice) -> NDArray[np.float32]:
        return self.read(which)


@dataclass(frozen=True)
class RawClip:
    """The content of one recording as it lies on disk, but for its sound, which is mono at 16 kHz.

    Attributes:
        waveform: (S,) f32.
        motion: (T, D) f32 where the corpus has motion features, else None.
        vertices: where it has meshes, else None; read a block at a time, since a long recording may not fit into memory.
        fps: motion frames a second.
        intensity: of the emotion, 0 to 1.
    """

    waveform: NDArray[np.float32]
    fps: float
    motion: NDArray[np.float32] | None = None
    vertices: Frames | None = None
    emotion: str = "neutral"
    intensity: float = 0.0
    language: str = "unknown"
    transcript: str = ""
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True)
class Recording:
    """One clip of a corpus that has not been read yet.

    Attributes:
        id: clip id, unique in the corpus.
        subject: who speaks.
        split: train, val or test where the corpus says so, None where it is for `split_by_subject` to say.
        read: reads everything but vertices; raises `ThunderError`. Works in another process.
        frames: its vertices at the recorded rate; None where the corpus has no meshes.
    """

    id: str
    subject: str
    split: str | None
    read: Callable[[], RawClip]
    frames: Frames | None = None


@dataclass(frozen=True)
class Corpus:
    """A corpus of a known layout.

    Attributes:
        layout: its name.
        head: what the motion moves; for a corpus of meshes, a displacement head that has no basis yet.
        fps: frame rate to write where the user names none; None keeps each recording's own.
        recordings: in the order of their ids.
        templates: subject -> face at rest (V, 3), where it is not the head's.
        problems: pieces that are missing or do not fit, each a recording that cannot be used.
        remarks: what the user should know and need not mend.
    """

    layout: str
    head: HeadRecord
    fps: float | None
    recordings: Sequence[Recording]
    templates: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    problems: Sequence[Failure] = ()
    remarks: Sequence[str] = ()


def clip_id(*parts: str) -> str:
    """A clip id for a recording of any name: other characters are replaced, and a hash keeps changed names apart."""
    name = "_".join(parts)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def split_by_subject(subjects: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Chooses a split for each subject, so that nobody is heard both in training and in a test.

    About a tenth of the subjects, at least one, goes to test, and as many to val where there are three subjects or more. The
    order is that of SHA-256(seed, name): a subject's place does not depend on the order of folders or on the machine.

    Args:
        subjects: names.
        seed: another seed, another choice.

    Returns:
        subject -> train, val or test; a single subject is train.
    """
    ordered = sorted(set(subjects), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    tenth = max(1, round(len(ordered) / 10))
    num_test = tenth if len(ordered) >= 2 else 0
    num_val = tenth if len(ordered) >= 3 else 0
    splits = ["test"] * num_test + ["val"] * num_val
    return dict(zip(ordered, splits + ["train"] * (len(ordered) - len(splits)), strict=True))
