"""A corpus of any known layout becomes `dataset.h5`: recordings are read in many processes and written by one."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from os import cpu_count
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from stages.artifacts.clips import SPLITS, Clip, write_clips
from stages.artifacts.files import check_output
from stages.artifacts.head_record import HeadRecord
from stages.audio.waveform import to_int16
from stages.corpora.alignment import align
from stages.corpora.corpus import Corpus, RawClip, Recording, split_by_subject
from stages.corpora.layout import open_corpus
from stages.heads.displacement import ReconstructionError, fit_displacement_head, project
from stages.runtime.errors import Failure, ThunderError, summarise_failures
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs

# Starting processes takes seconds: not worth it for fewer recordings than this.
_FEW_RECORDINGS = 64
# Frames that the basis of a displacement head is fitted to; faces change little from one frame to the next.
_MAX_FRAMES_TO_FIT = 20_000


@dataclass
class PreprocessSummary:
    """What `preprocess` made.

    Attributes:
        subjects: split -> names of its subjects.
        clips: split -> number of its clips.
        cut: remarks on recordings whose sound and motion were not equally long.
        remarks: what the user should know and need not mend.
        failures: recordings that are not in the dataset, and why.
        reconstruction_mm: region -> (mean, max) distance of the motion's vertices from the exact ones, for corpora of meshes.
        explained_variance: fraction of squared displacement that the motion features account for; likewise.
    """

    path: Path
    layout: str
    num_features: int = 0
    hours: float = 0.0
    fps: list[float] = field(default_factory=list)
    clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    subjects: dict[str, list[str]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    cut: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    reconstruction_mm: dict[str, tuple[float, float]] = field(default_factory=dict)
    explained_variance: float | None = None

    @property
    def num_clips(self) -> int:
        """Clips in the dataset."""
        return sum(self.clips.values())

    def count(self, clip: Clip) -> None:
        """Takes in one clip that was written."""
        self.clips[clip.split] += 1
        self.hours += clip.duration_s / 3600
        if clip.subject not in self.subjects[clip.split]:
            self.subjects[clip.split].append(clip.subject)
        if clip.fps not in self.fps:
            self.fps.append(clip.fps)


def preprocess(
    folder: Path,
    output: Path,
    *,
    layout: str | None = None,
    fps: float | None = None,
    lips: Path | None = None,
    components: int = 64,
    drop_vertices: bool = False,
    allow_mismatch: bool = False,
    jobs: int = 0,
    force: bool = False,
    seed: int = 0,
    head: HeadRecord | None = None,
    progress: Progress = silent,
) -> PreprocessSummary:
    """Reads a corpus and writes it as a dataset.

    Args:
        folder: the corpus.
        output: the dataset to write.
        layout: name of its layout; None to look at the folder.
        fps: frame rate to write; None keeps the recordings' own (VOCASET: 30, as the field trains on it).
        lips: file of lip vertices, for corpora of meshes that do not bring one.
        components: motion features of a displacement head.
        drop_vertices: leave the exact vertices of a corpus of meshes out of the file.
        allow_mismatch: go on where sound and motion differ by 100 ms or more.
        jobs: processes; 0 means one a core.
        force: replace an existing output.
        seed: draws the splits where the corpus has none.
        head: head that ARKit curves move; the embedded one where None.

    Returns:
        What was written, and which recordings were not.

    Raises:
        ThunderError: not a corpus, or not one recording of it could be used; nothing is written then.
    """
    check_output(output, force=force, inputs=[lips])
    corpus = open_corpus(folder, layout, lips_path=lips, head=head)
    if fps is not None and not 1 <= fps <= 1000:
        raise ThunderError(f"--fps {fps:g}: wanted 1 to 1000 frames a second")
    summary = PreprocessSummary(output, corpus.layout, remarks=list(corpus.remarks), failures=list(corpus.problems))
    total = len(corpus.recordings) + len(corpus.problems)
    splits = _splits(corpus, seed, summary.remarks)
    config = {
        "layout": corpus.layout,
        "fps": fps,
        "components": components,
        "drop_vertices": drop_vertices,
        "allow_mismatch": allow_mismatch,
    }
    provenance = Provenance(seed=seed, config=config, inputs=hash_inputs(corpus=folder, lips=lips))
    of_meshes = corpus.head.kind == "displacement"
    finished = _with_basis(corpus, splits, components, progress) if of_meshes else corpus.head
    error = ReconstructionError(finished)
    summary.num_features = len(finished.features)
    with (
        write_clips(output, "thunder.dataset", finished, provenance, force=force, subjects=corpus.templates) as writer,
        progress("preprocessing", total=len(corpus.recordings)) as advance,
    ):
        job = partial(_read_aligned, fps=fps or corpus.fps, allow_mismatch=allow_mismatch)
        for recording, outcome in _read_all(corpus.recordings, job, jobs or cpu_count() or 1):
            if isinstance(outcome, Failure):
                summary.failures.append(outcome)
            else:
                raw, remark = outcome
                motion = raw.motion
                if raw.vertices is not None:
                    displacements = raw.vertices - corpus.templates[recording.subject]
                    motion = project(finished, displacements)
                    error.add(motion, displacements)
                clip = _clip(recording, splits[recording.id], raw, motion, keep_vertices=not drop_vertices)
                try:
                    writer.add(clip)
                except ThunderError as refusal:
                    summary.failures.append(Failure(recording.id, str(refusal)))
                else:
                    summary.count(clip)
                    if remark:
                        summary.cut.append(f"{recording.id}: {remark}")
            advance(1)
        if not summary.num_clips:
            reasons = summarise_failures(summary.failures, total, "recordings")
            raise ThunderError(f"{folder}: nothing to write, {reasons if total else 'no recordings found'}")
    if of_meshes:
        summary.reconstruction_mm = {k: (v, error.max_mm[k]) for k, v in error.mean_mm.items()}
        summary.explained_variance = float(finished.arrays["explained_variance"].sum())
    return summary


def _splits(corpus: Corpus, seed: int, remarks: list[str]) -> dict[str, str]:
    """Clip id -> split: what the corpus says, else by subject."""
    undecided = {r.subject for r in corpus.recordings if r.split is None}
    by_subject = split_by_subject(undecided, seed)
    if len(undecided) == 1:
        remarks.append(
            f"only one subject ({undecided.pop()}) to split: all of it goes to train, none is left for a test"
        )
    splits = {r.id: r.split or by_subject[r.subject] for r in corpus.recordings}
    train, test = ({r.subject for r in corpus.recordings if splits[r.id] == split} for split in ("train", "test"))
    if shared := sorted(train & test):
        remarks.append(f"heard both in train and in test, as the corpus says: {', '.join(shared)}")
    return splits


def _with_basis(corpus: Corpus, splits: dict[str, str], components: int, progress: Progress) -> HeadRecord:
    """The corpus's head with a basis fitted to frames of the training split, so that a test stays a test."""
    usable = [r for r in corpus.recordings if r.read_frames is not None]
    chosen = [r for r in usable if splits[r.id] == "train"] or usable
    step = max(1, sum(r.num_frames for r in chosen) // _MAX_FRAMES_TO_FIT)

    def displacements() -> Iterator[np.ndarray]:
        with progress("fitting the head", total=len(chosen)) as advance:
            for recording in chosen:
                assert recording.read_frames is not None
                with suppress(ThunderError):  # Reading the whole recording will fail likewise, and is what reports it.
                    yield recording.read_frames(slice(None, None, step)) - corpus.templates[recording.subject]
                advance(1)

    return fit_displacement_head(corpus.head, displacements(), components)


def _read_aligned(recording: Recording, *, fps: float | None, allow_mismatch: bool) -> tuple[RawClip, str] | Failure:
    try:
        return align(recording.read(), fps, allow_mismatch=allow_mismatch)
    except ThunderError as error:
        return Failure(recording.id, str(error))
    except OSError as error:
        return Failure(recording.id, f"{error.filename}: cannot be read ({error.strerror})")


def _read_all(
    recordings: Sequence[Recording], job: partial[tuple[RawClip, str] | Failure], jobs: int
) -> Iterator[tuple[Recording, tuple[RawClip, str] | Failure]]:
    """Each recording and what came of reading it, in order, a few at a time in memory."""
    if jobs == 1 or len(recordings) < _FEW_RECORDINGS:
        for recording in recordings:
            yield recording, job(recording)
        return
    with Parallel(n_jobs=jobs) as pool:
        for start in range(0, len(recordings), 8 * jobs):
            batch = recordings[start : start + 8 * jobs]
            yield from zip(batch, pool(delayed(job)(recording) for recording in batch), strict=True)


def _clip(recording: Recording, split: str, raw: RawClip, motion: np.ndarray | None, *, keep_vertices: bool) -> Clip:
    assert motion is not None, "a recording has motion or vertices"
    return Clip(
        id=recording.id,
        fps=raw.fps,
        waveform=to_int16(raw.waveform),
        motion=motion,
        subject=recording.subject,
        emotion=raw.emotion,
        intensity=raw.intensity,
        language=raw.language,
        transcript=raw.transcript,
        split=split,
        phones=raw.phones,
        vertices=raw.vertices if keep_vertices else None,
    )
