"""`dataset.h5` and `samples.h5`: clips of speech with one true motion, or with N sampled ones."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.artifacts.files import read_array, read_artifact, write_array, write_artifact
from stages.artifacts.head_record import HeadRecord, read_head, write_head
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance

SAMPLE_RATE_HZ = 16_000
SPLITS = ("train", "val", "test")
_CLIP_ID = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Phone:
    """One phone of a transcript: start and end in seconds, and an ARPAbet label (`SIL` is silence)."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True)
class Clip:
    """One recording, or one input of `sample`.

    Attributes:
        waveform: (S,) i16, mono, 16 kHz.
        motion: (T, D) f32 in a dataset, (N, T, D) f32 in samples.
        vertices: (T, V, 3) f32, the exact vertices where the corpus has them.
        intensity: of the emotion, 0 to 1.
        seed: (N,) i64, the seed of each take; samples only.
        audio_consistency: (N,) f32, how badly each take speaks by the M2S loss; samples only, where one scored them.
    """

    id: str
    fps: float
    waveform: np.ndarray
    motion: np.ndarray
    subject: str = "unknown"
    emotion: str = "neutral"
    intensity: float = 0.0
    language: str = "unknown"
    transcript: str = ""
    split: str = "test"
    phones: tuple[Phone, ...] = ()
    vertices: np.ndarray | None = None
    seed: np.ndarray | None = None
    audio_consistency: np.ndarray | None = None

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.motion.shape[-2])

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.waveform) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class ClipSummary:
    """What is known of a clip without reading its arrays."""

    id: str
    subject: str
    split: str
    fps: float
    num_frames: int
    duration_s: float


@dataclass
class ClipWriter:
    """Adds clips, one at a time, to an artifact that is being written."""

    file: h5py.File
    num_features: int

    def add(self, clip: Clip) -> None:
        """Writes one clip.

        Raises:
            ThunderError: its id is not `[A-Za-z0-9._-]+` or stands twice, or its arrays do not fit.
        """
        where = f"clip {clip.id!r}"
        if not _CLIP_ID.fullmatch(clip.id) or clip.id in (".", ".."):
            raise ThunderError(f"{where}: a clip id has only letters, digits, '.', '_' and '-'; rename the recording")
        if clip.id in self.file["clips"]:
            raise ThunderError(f"{where} stands twice; rename one of the recordings")
        if clip.split not in SPLITS:
            raise ThunderError(f"{where}: split wanted {', '.join(SPLITS)}, found {clip.split!r}")
        takes = clip.motion.ndim == 3
        if clip.motion.ndim not in (2, 3) or clip.motion.shape[-1] != self.num_features:
            raise ThunderError(
                f"{where}: motion wanted (T, {self.num_features}) or (N, T, {self.num_features}), "
                f"found {clip.motion.shape}"
            )
        if not np.isfinite(clip.motion).all():
            raise ThunderError(f"{where}: motion holds NaN or infinity")
        group = self.file["clips"].create_group(clip.id)
        for name in ("subject", "emotion", "intensity", "language", "transcript", "split", "fps"):
            group.attrs[name] = getattr(clip, name)
        waveform = write_array(group, "waveform", clip.waveform.astype("i2"), "S")
        waveform.attrs["sample_rate_hz"] = SAMPLE_RATE_HZ
        write_array(group, "motion", clip.motion.astype("f4"), "N,T,D" if takes else "T,D")
        if clip.vertices is not None:
            write_array(group, "vertices", clip.vertices.astype("f4"), "T,V,3", str(self.file["head"].attrs["units"]))
        if clip.phones:
            label_dtype = h5py.string_dtype()
            table = np.array(
                [(p.start_s, p.end_s, p.label) for p in clip.phones],
                dtype=[("start_s", "f8"), ("end_s", "f8"), ("label", label_dtype)],
            )
            write_array(group, "phones", table, "P", "s")
        if clip.seed is not None:
            write_array(group, "seed", np.asarray(clip.seed, "i8"), "N")
        if clip.audio_consistency is not None:
            write_array(group, "audio_consistency", np.asarray(clip.audio_consistency, "f4"), "N")


@contextmanager
def write_clips(
    path: Path,
    schema: str,
    head: HeadRecord,
    provenance: Provenance,
    *,
    force: bool,
    subjects: dict[str, np.ndarray] | None = None,
) -> Iterator[ClipWriter]:
    """Opens a new `thunder.dataset` or `thunder.samples` for writing, clip by clip.

    Args:
        subjects: name -> template (V, 3) of each subject whose face at rest is not the head's.
    """
    with write_artifact(path, schema, provenance, force=force) as file:
        write_head(file, head)
        group = file.create_group("subjects")
        for name, template in (subjects or {}).items():
            write_array(group.create_group(name), "template", template.astype("f4"), "V,3", head.units)
        file.create_group("clips")
        yield ClipWriter(file, len(head.features))


@dataclass
class ClipFile:
    """An open dataset or samples file; reads clips when asked."""

    path: Path
    file: h5py.File
    head: HeadRecord
    schema: str = field(init=False)

    def __post_init__(self) -> None:
        self.schema = str(self.file.attrs["schema"])

    def __iter__(self) -> Iterator[str]:
        return iter(self.file["clips"])

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self.file["clips"]

    def __len__(self) -> int:
        return len(self.file["clips"])

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of all subjects that clips belong to, sorted."""
        return tuple(sorted({str(clip.attrs["subject"]) for clip in self.file["clips"].values()}))

    def ids(self, split: str | None = None) -> list[str]:
        """Ids of the clips of one split, or of all; sorted."""
        return [i for i, clip in self.file["clips"].items() if split is None or clip.attrs["split"] == split]

    def template(self, subject: str) -> np.ndarray:
        """The subject's face at rest (V, 3); the head's own template where the file has none for that subject."""
        group = self.file.get(f"subjects/{subject}")
        return self.head.template if group is None else read_array(group, "template", ndim=2)

    def summary(self, clip_id: str) -> ClipSummary:
        """Facts about one clip, without reading its arrays."""
        group = self._group(clip_id)
        attrs = group.attrs
        return ClipSummary(
            clip_id,
            str(attrs["subject"]),
            str(attrs["split"]),
            float(attrs["fps"]),
            int(group["motion"].shape[-2]),
            group["waveform"].shape[0] / SAMPLE_RATE_HZ,
        )

    def has_vertices(self, clip_id: str) -> bool:
        """Whether the clip keeps exact vertices."""
        return "vertices" in self._group(clip_id)

    def read(self, clip_id: str, *, vertices: bool = False) -> Clip:
        """Reads and checks one clip; its exact vertices only when asked for.

        Raises:
            ThunderError: no such clip, or one whose arrays are missing, damaged, or of another shape.
        """
        group = self._group(clip_id)
        where = f"{self.path}: clip {clip_id}"
        try:
            attrs: dict[str, Any] = {
                "subject": str(group.attrs["subject"]),
                "emotion": str(group.attrs["emotion"]),
                "intensity": float(group.attrs.get("intensity", 0.0)),
                "language": str(group.attrs["language"]),
                "transcript": str(group.attrs["transcript"]),
                "split": str(group.attrs["split"]),
                "fps": float(group.attrs["fps"]),
            }
        except (KeyError, ValueError) as error:
            raise ThunderError(f"{where}: attributes are incomplete ({error}); make the file again") from error
        if not 1 <= attrs["fps"] <= 1000:
            raise ThunderError(f"{where}: fps wanted 1 to 1000, found {attrs['fps']}")
        motion = read_array(group, "motion", ndim=3 if self.schema == "thunder.samples" else 2)
        if motion.shape[-1] != len(self.head.features):
            raise ThunderError(f"{where}: motion wanted {len(self.head.features)} features, found shape {motion.shape}")
        phones: tuple[Phone, ...] = ()
        if "phones" in group:
            phones = tuple(Phone(float(s), float(e), lab.decode()) for s, e, lab in read_array(group, "phones", ndim=1))
        return Clip(
            id=clip_id,
            waveform=read_array(group, "waveform", ndim=1),
            motion=motion,
            phones=phones,
            vertices=read_array(group, "vertices", ndim=3) if vertices and "vertices" in group else None,
            seed=read_array(group, "seed", ndim=1) if "seed" in group else None,
            audio_consistency=read_array(group, "audio_consistency", ndim=1) if "audio_consistency" in group else None,
            **attrs,
        )

    def _group(self, clip_id: str) -> h5py.Group:
        group = self.file["clips"].get(clip_id)
        if group is None:
            some = ", ".join(list(self)[:5])
            raise ThunderError(f"{self.path}: no clip {clip_id!r}; it holds {len(self)} clips: {some}, ...")
        return group


@contextmanager
def open_clips(path: Path, *schemas: str) -> Iterator[ClipFile]:
    """Opens a dataset or samples file (either, if no schema is named) for reading.

    Raises:
        ThunderError: not such a file, or one without clips.
    """
    with read_artifact(path, *(schemas or ("thunder.dataset", "thunder.samples"))) as file:
        if not isinstance(file.get("clips"), h5py.Group) or len(file["clips"]) == 0:
            raise ThunderError(f"{path}: holds no clips; make it again")
        yield ClipFile(path, file, read_head(file))


def read_phones_json(path: Path) -> tuple[Phone, ...]:
    """Reads `[{start_s, end_s, label}, ...]`.

    Raises:
        ThunderError: not such a list.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return tuple(Phone(float(row["start_s"]), float(row["end_s"]), str(row["label"])) for row in rows)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ThunderError(f"{path}: wanted a JSON list of {{start_s, end_s, label}}, found {error!r}") from error
