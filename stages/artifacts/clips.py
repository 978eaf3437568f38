"""`dataset.h5` and `samples.h5`: clips of speech with one true motion, or with N sampled ones."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.artifacts.files import (
    ArtifactFile,
    explained_damage,
    read_array,
    read_artifact,
    write_array,
    write_artifact,
)
from stages.artifacts.head_record import HeadRecord, read_head, write_head
from stages.artifacts.resumable import check_unfinished, unfinished_path, write_resumable
from stages.runtime.errors import ThunderError, did_you_mean
from stages.runtime.provenance import Provenance

SAMPLE_RATE_HZ = 16_000
SPLITS = ("train", "val", "test")
_CLIP_ID = re.compile(r"[A-Za-z0-9._-]+")
_TEXTS = ("subject", "emotion", "language", "transcript", "split")
_PHONE_DTYPE = np.dtype([("start_s", "f8"), ("end_s", "f8"), ("label", h5py.string_dtype())])


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
        seconds_a_take: how long the model took for each; samples only.
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
    seconds_a_take: float | None = None

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.motion.shape[-2])

    @property
    def takes(self) -> np.ndarray:
        """Motion (N, T, D); what was recorded is one take."""
        return self.motion if self.motion.ndim == 3 else self.motion[None]

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
    transcript: str
    num_takes: int
    emotion: str
    language: str
    num_phones: int
    has_vertices: bool


@dataclass
class ClipWriter:
    """Adds clips, one at a time, to an artifact that is being written."""

    file: ArtifactFile
    head: HeadRecord

    def add(self, clip: Clip, vertices: Iterable[np.ndarray] | None = None) -> None:
        """Writes one clip, wholly or not at all.

        Args:
            clip: what to write.
            vertices: the exact vertices in blocks (n, V, 3), where they are too many to be held in `clip`.

        Raises:
            ThunderError: its id is not `[A-Za-z0-9._-]+` or stands twice, or its arrays do not fit.
            OSError: the disk is full; `write_clips` explains it.
        """
        where = f"clip {clip.id!r}"
        if not _CLIP_ID.fullmatch(clip.id) or clip.id in (".", ".."):
            raise ThunderError(f"{where}: a clip id has only letters, digits, '.', '_' and '-'; rename the recording")
        if clip.id in self.file["clips"]:
            raise ThunderError(f"{where} stands twice; rename one of the recordings")
        takes = self.file.attrs["schema"] == "thunder.samples"
        _check_clip(clip, where, self.head, takes=takes)
        group = self.file["clips"].create_group(clip.id)
        try:
            self._fill(group, clip, vertices, takes=takes)
        except ThunderError:
            del self.file["clips"][clip.id]
            raise
        self.file.check_written()

    def _fill(self, group: h5py.Group, clip: Clip, vertices: Iterable[np.ndarray] | None, *, takes: bool) -> None:
        waveform = write_array(group, "waveform", clip.waveform, "S")
        waveform.attrs["sample_rate_hz"] = SAMPLE_RATE_HZ
        write_array(group, "motion", clip.motion.astype("f4"), "N,T,D" if takes else "T,D")
        if clip.vertices is not None:
            write_array(group, "vertices", clip.vertices.astype("f4"), "T,V,3", self.head.units)
        if clip.seed is not None:
            write_array(group, "seed", np.asarray(clip.seed, "i8"), "N")
        if clip.audio_consistency is not None:
            write_array(group, "audio_consistency", np.asarray(clip.audio_consistency, "f4"), "N")
        if vertices is not None:
            self._stream(group, vertices, (clip.num_frames, *self.head.template.shape))
        # HDF5 crashes where it looks for texts that it wrote to a full disk.
        self.file.check_written()
        if clip.phones:
            table = np.array([(p.start_s, p.end_s, p.label) for p in clip.phones], dtype=_PHONE_DTYPE)
            write_array(group, "phones", table, "P", "s")
        if clip.seconds_a_take is not None:
            group.attrs["seconds_a_take"] = clip.seconds_a_take
        # Last of all, since a clip that has them is whole: see `finished`.
        for name in (*_TEXTS, "intensity", "fps"):
            group.attrs[name] = getattr(clip, name)

    def _stream(self, group: h5py.Group, blocks: Iterable[np.ndarray], shape: tuple[int, ...]) -> None:
        dataset = group.create_dataset("vertices", shape=shape, dtype="f4")
        dataset.attrs["axes"], dataset.attrs["units"] = "T,V,3", self.head.units
        start = 0
        for block in blocks:
            _check_array(block, f"{group.name}/vertices", ("n", *shape[1:]))
            dataset[start : start + len(block)] = block
            start += len(block)
        if start != shape[0]:
            raise ThunderError(f"{group.name}/vertices: wanted {shape[0]} frames, found {start}")

    def finished(self) -> list[str]:
        """Ids of the clips that an interrupted run had written whole; what it had written of another is removed."""
        for clip_id in [i for i, group in self.file["clips"].items() if "fps" not in group.attrs]:
            del self.file["clips"][clip_id]
        return list(self.file["clips"])

    def read(self, clip_id: str) -> Clip:
        """A clip that is finished, without its vertices."""
        return ClipFile(Path(self.file.filename), self.file, self.head).read(clip_id)

    def note_reconstruction(self, figures: Mapping[str, float]) -> None:
        """Stores how well the head's motion features give back exact vertices, as attributes of /head/reconstruction."""
        group = self.file.require_group("head/reconstruction")
        for name, value in figures.items():
            group.attrs[name] = value

    def reconstruction(self) -> dict[str, float]:
        """What `note_reconstruction` stored last."""
        group = self.file.get("head/reconstruction")
        return {} if group is None else {name: float(value) for name, value in group.attrs.items()}


def _check_clip(clip: Clip, where: str, head: HeadRecord, *, takes: bool) -> None:
    """Holds a clip to what the file format promises, when it is written and when it is read.

    Raises:
        ThunderError: something is out of range, not finite, or of another shape.
    """
    if clip.split not in SPLITS:
        raise ThunderError(f"{where}: split wanted {', '.join(SPLITS)}, found {clip.split!r}")
    if not 1 <= clip.fps <= 1000:
        raise ThunderError(f"{where}: fps wanted 1 to 1000, found {clip.fps}")
    for name in _TEXTS:
        if "\0" in getattr(clip, name):
            raise ThunderError(f"{where}: {name} holds a zero character, wanted plain text; clean the recording's text")
    if clip.waveform.dtype != np.int16 or clip.waveform.ndim != 1 or clip.waveform.size == 0:
        found = f"{clip.waveform.dtype} {clip.waveform.shape}"
        raise ThunderError(f"{where}: waveform wanted int16 (S,) with S > 0, found {found}")
    wanted = ("N", "T", len(head.features)) if takes else ("T", len(head.features))
    _check_array(clip.motion, f"{where}: motion", wanted)
    if clip.vertices is not None:
        _check_array(clip.vertices, f"{where}: vertices", (clip.num_frames, *head.template.shape))
    for name, values in (("seed", clip.seed), ("audio_consistency", clip.audio_consistency)):
        if values is not None:
            _check_array(np.asarray(values), f"{where}: {name}", (len(clip.motion),))
    if clip.seconds_a_take is not None and not 0 < clip.seconds_a_take < math.inf:
        raise ThunderError(f"{where}: seconds_a_take wanted more than 0, found {clip.seconds_a_take}; sample it again")
    for phone in clip.phones:
        if not -math.inf < phone.start_s <= phone.end_s < math.inf:
            raise ThunderError(
                f"{where}: phone {phone.label!r} wanted start_s <= end_s, found {phone.start_s} and {phone.end_s}"
            )


def _check_array(values: np.ndarray, where: str, wanted: tuple[int | str, ...]) -> None:
    """Holds an array to a shape, of which letters stand for any size but 0, and to finite numbers."""
    fits = len(values.shape) == len(wanted) and all(
        size > 0 if isinstance(axis, str) else size == axis for size, axis in zip(values.shape, wanted, strict=False)
    )
    if not fits:
        shape = f"({', '.join(map(str, wanted))})"
        raise ThunderError(f"{where} wanted shape {shape}, found {values.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        total = values.sum()  # a finite sum has finite terms, and is had in one pass without another array
    if not np.isfinite(total) and not np.isfinite(values).all():
        raise ThunderError(f"{where} holds NaN or infinity; make it again from clean data")


@contextmanager
def write_clips(
    path: Path,
    schema: str,
    head: HeadRecord,
    provenance: Provenance,
    *,
    force: bool,
    subjects: dict[str, np.ndarray] | None = None,
    resume: bool | None = None,
) -> Iterator[ClipWriter]:
    """Opens a new `thunder.dataset` or `thunder.samples` for writing, clip by clip.

    Args:
        subjects: name -> template (V, 3) of each subject whose face at rest is not the head's.
        resume: True goes on with the file of an interrupted run where there is one, whose head must be `head`; True and
            False keep what is finished when this run is interrupted; None keeps nothing.
    """
    if resume is None:
        opened = write_artifact(path, schema, provenance, force=force)
    else:
        opened = write_resumable(path, schema, provenance, force=force, resume=resume)
    with opened as file:
        if "clips" in file:
            yield ClipWriter(file, head)
            return
        write_head(file, head)
        group = file.create_group("subjects")
        for name, template in (subjects or {}).items():
            write_array(group.create_group(name), "template", template.astype("f4"), "V,3", head.units)
        file.create_group("clips")
        yield ClipWriter(file, head)


def unfinished_head(path: Path, provenance: Provenance, *, resume: bool, force: bool) -> HeadRecord | None:
    """The head in what an interrupted run left of a dataset, if there is something to go on with.

    Raises:
        ThunderError: see `check_unfinished`.
    """
    if not check_unfinished(path, "thunder.dataset", provenance, resume=resume, force=force):
        return None
    with read_artifact(unfinished_path(path), "thunder.dataset") as file:
        return read_head(file)


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
        with explained_damage(self.path):
            return tuple(sorted({str(clip.attrs["subject"]) for clip in self.file["clips"].values()}))

    def ids(self, split: str | None = None) -> list[str]:
        """Ids of the clips of one split, or of all; sorted."""
        with explained_damage(self.path):
            return [i for i, clip in self.file["clips"].items() if split is None or clip.attrs["split"] == split]

    def template(self, subject: str) -> np.ndarray:
        """The subject's face at rest (V, 3); the head's own template where the file has none for that subject."""
        with explained_damage(self.path):
            if not subject or f"subjects/{subject}" not in self.file:
                return self.head.template
            values = read_array(self.file["subjects"][subject], "template", ndim=2)
        _check_array(values, f"{self.path}: template of subject {subject}", self.head.template.shape)
        return values

    def summary(self, clip_id: str) -> ClipSummary:
        """Facts about one clip, without reading its arrays."""
        with explained_damage(self.path):
            group = self._group(clip_id)
            attrs = group.attrs
            return ClipSummary(
                clip_id,
                str(attrs["subject"]),
                str(attrs["split"]),
                float(attrs["fps"]),
                int(group["motion"].shape[-2]),
                group["waveform"].shape[0] / SAMPLE_RATE_HZ,
                str(attrs["transcript"]),
                group["motion"].shape[0] if group["motion"].ndim == 3 else 1,
                str(attrs["emotion"]),
                str(attrs["language"]),
                len(group["phones"]) if "phones" in group else 0,
                "vertices" in group,
            )

    def has_vertices(self, clip_id: str) -> bool:
        """Whether the clip keeps exact vertices."""
        with explained_damage(self.path):
            return "vertices" in self._group(clip_id)

    def read(self, clip_id: str, *, vertices: bool = False) -> Clip:
        """Reads and checks one clip; its exact vertices only when asked for.

        Raises:
            ThunderError: no such clip, or one whose arrays are missing, damaged, or of another shape.
        """
        takes = self.schema == "thunder.samples"
        with explained_damage(f"{self.path}: clip {clip_id}"):
            group = self._group(clip_id)
            texts: dict[str, Any] = {name: str(group.attrs[name]) for name in _TEXTS}
            wanted = ("seed", "audio_consistency", "vertices") if vertices else ("seed", "audio_consistency")
            arrays: dict[str, Any] = {name: read_array(group, name) for name in wanted if name in group}
            clip = Clip(
                id=clip_id,
                fps=float(group.attrs["fps"]),
                waveform=read_array(group, "waveform", ndim=1),
                motion=read_array(group, "motion", ndim=3 if takes else 2),
                intensity=float(group.attrs.get("intensity", 0.0)),
                seconds_a_take=float(group.attrs["seconds_a_take"]) if "seconds_a_take" in group.attrs else None,
                phones=_read_phones(group) if "phones" in group else (),
                **texts,
                **arrays,
            )
        _check_clip(clip, f"{self.path}: clip {clip_id}", self.head, takes=takes)
        return clip

    def _group(self, clip_id: str) -> h5py.Group:
        group = self.file["clips"].get(clip_id)
        if not isinstance(group, h5py.Group):
            some = ", ".join(list(self)[:5]) + (", ..." if len(self) > 5 else "")
            raise ThunderError(
                f"{self.path}: no clip {clip_id!r}; it holds {len(self)} clip{'s' if len(self) > 1 else ''}: {some}"
                + did_you_mean(clip_id, self)
            )
        return group


def _read_phones(group: h5py.Group) -> tuple[Phone, ...]:
    table = read_array(group, "phones", ndim=1)
    return tuple(Phone(float(row["start_s"]), float(row["end_s"]), row["label"].decode()) for row in table)


@contextmanager
def open_clips(path: Path, *schemas: str) -> Iterator[ClipFile]:
    """Opens a dataset or samples file (either, if no schema is named) for reading.

    Raises:
        ThunderError: not such a file, or one without clips.
    """
    with read_artifact(path, *(schemas or ("thunder.dataset", "thunder.samples"))) as file:
        with explained_damage(path):
            if not isinstance(file.get("clips"), h5py.Group) or len(file["clips"]) == 0:
                raise ThunderError(f"{path}: holds no clips; make it again")
            head = read_head(file)
        yield ClipFile(path, file, head)


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
