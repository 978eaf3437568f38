"""A corpus of any known layout becomes `dataset.h5`: recordings are read many at a time and written by one process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from os import cpu_count
from pathlib import Path
from time import perf_counter

import numpy as np

from stages.artifacts.clips import SPLITS, Clip, ClipWriter, unfinished_head, write_clips
from stages.artifacts.files import check_output
from stages.artifacts.head_record import HeadRecord
from stages.audio.waveform import to_float, to_int16
from stages.corpora.checks import check_same_order
from stages.corpora.corpus import Corpus, Frames, Recording, split_by_subject
from stages.corpora.lag import LagEstimate, lip_opening
from stages.corpora.layout import check_folder, open_corpus
from stages.corpora.preparation import Prepared, in_blocks, prepare, prepare_all
from stages.heads.displacement import ReconstructionError, fit_displacement_head
from stages.runtime.ahead import read_ahead
from stages.runtime.errors import Failure, ThunderError, summarise_failures
from stages.runtime.interrupts import deferred_interrupts
from stages.runtime.progress import Advance, Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs

# Frames that the basis of a displacement head is fitted to; faces change little from one frame to the next.
_MAX_FRAMES_TO_FIT = 3_000
_FIT_BLOCK_FRAMES = 128
_COMPONENTS = 64


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
        units: of the head; where it is `unitless`, the distances are in its units and no millimetres.
        lag_ms: how much later the lips open than the sound grows loud, see `LagEstimate`; None where that cannot be measured.
        lag_correlation: of loudness and lip opening at the best lag.
        lag_clear_from: the correlation from which on that lag is no chance.
        num_resumed: clips that an interrupted run had finished.
        num_frames: motion frames of all other clips.
        seconds: that the whole took.
        megabytes: size of the dataset.
        megabytes_read: of vertices, as they lie in the corpus; those read twice, to fit a basis, count once.
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
    units: str = "m"
    lag_ms: float | None = None
    lag_correlation: float | None = None
    lag_clear_from: float | None = None
    num_resumed: int = 0
    num_frames: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0
    megabytes_read: float = 0.0

    @property
    def num_clips(self) -> int:
        """Clips in the dataset."""
        return sum(self.clips.values())

    def count(self, clip: Clip, remark: str = "") -> None:
        """Takes in one clip that was written, and what was cut from it."""
        self.clips[clip.split] += 1
        self.hours += clip.duration_s / 3600
        if clip.subject not in self.subjects[clip.split]:
            self.subjects[clip.split].append(clip.subject)
        if clip.fps not in self.fps:
            self.fps.append(clip.fps)
        self.num_frames += clip.num_frames
        if remark:
            self.cut.append(f"{clip.id}: {remark}")

    def measured(self, head: HeadRecord, error: ReconstructionError, lag: LagEstimate) -> None:
        """Takes in what was measured over all clips, when the dataset is there."""
        self.units, self.megabytes = head.units, self.path.stat().st_size / 1e6
        if error.num_frames:
            self.reconstruction_mm = {k: (v, error.max_mm[k]) for k, v in error.mean_mm.items()}
            self.explained_variance = float(head.arrays["explained_variance"].sum())
        if (peak := lag.peak()) is not None:
            found, self.lag_correlation = peak
            self.lag_clear_from = lag.clear_from()
            self.lag_ms = found if self.lag_correlation >= self.lag_clear_from else None


def preprocess(
    folder: Path,
    output: Path,
    *,
    layout: str | None = None,
    fps: float | None = None,
    lips: Path | None = None,
    flame: Path | None = None,
    components: int | None = None,
    drop_vertices: bool = False,
    allow_mismatch: bool = False,
    jobs: int = 0,
    force: bool = False,
    resume: bool = False,
    seed: int = 0,
    head: HeadRecord | None = None,
    scale: float = 1.0,
    biwi_test: str | None = None,
    progress: Progress = silent,
) -> PreprocessSummary:
    """Reads a corpus and writes it as a dataset.

    Args:
        folder: the corpus.
        output: the dataset to write.
        layout: name of its layout; None to look at the folder.
        fps: frame rate to write; None keeps the recordings' own (VOCASET: 30, as the field trains on it). The rate of
            FLAME coefficients that do not say theirs.
        lips: file of lip vertices, for corpora of meshes that do not bring one.
        flame: FLAME's own file, for FLAME coefficients.
        components: motion features of a displacement head; 64 where None.
        drop_vertices: leave the exact vertices of a corpus of meshes out of the file.
        allow_mismatch: go on where sound and motion differ by 100 ms or more.
        jobs: processes, or threads where recordings are meshes; 0 means one a core.
        force: replace an existing output.
        resume: go on with what an interrupted run of the same corpus and options left.
        seed: draws the splits where the corpus has none.
        head: head that ARKit curves move; the embedded one where None.
        scale: multiplies the vertices of a folder of meshes: 0.001 where they are in millimetres.
        biwi_test: A or B: which of BIWI's two test sets is the test split; A where None.

    Returns:
        What was written, and which recordings were not.

    Raises:
        ThunderError: not a corpus, one that an option does not concern, or not one recording of it could be used; nothing is
            written then.
    """
    # A wrong folder is what a user mends first, before an output that exists is looked at.
    check_folder(folder)
    check_output(output, force=force, inputs=[lips, flame])
    if fps is not None and not 1 <= fps <= 1000:
        raise ThunderError(f"--fps {fps:g}: wanted 1 to 1000 frames a second")
    begun = perf_counter()
    corpus = open_corpus(
        folder, layout, lips_path=lips, head=head, flame_path=flame, fps=fps, scale=scale, biwi_test=biwi_test
    )
    of_meshes = corpus.head.kind == "displacement"
    if not of_meshes and (drop_vertices or components is not None):
        option = "--drop-vertices" if drop_vertices else f"--components {components}"
        raise ThunderError(f"{option}: for a corpus of meshes only, found layout {corpus.layout}; leave it out")
    components = _COMPONENTS if components is None else components
    summary = PreprocessSummary(output, corpus.layout, remarks=list(corpus.remarks), failures=list(corpus.problems))
    total = len(corpus.recordings) + len(corpus.problems)
    splits = _splits(corpus, seed, summary.remarks)
    config = {
        "layout": corpus.layout,
        "fps": fps,
        "components": components,
        "drop_vertices": drop_vertices,
        "allow_mismatch": allow_mismatch,
        "scale": scale,
        "biwi_test": biwi_test or "A",
    }
    provenance = Provenance(seed=seed, config=config, inputs=hash_inputs(corpus=folder, lips=lips, flame=flame))
    finished = unfinished_head(output, provenance, resume=resume, force=force)
    if finished is None:
        finished = _with_basis(corpus, splits, components, progress) if of_meshes else corpus.head
    summary.num_features = len(finished.features)
    error, lag = ReconstructionError(), LagEstimate()
    with write_clips(
        output, "thunder.dataset", finished, provenance, force=force, subjects=corpus.templates, resume=resume
    ) as writer:
        done = set(writer.finished())
        for clip in map(writer.read, sorted(done)):
            summary.count(clip)
            _add_lag(lag, finished, clip)
        summary.num_resumed, summary.num_frames = len(done), 0
        error.merge(ReconstructionError.from_figures(finished, writer.reconstruction()))
        waiting = [(r, corpus.templates.get(r.subject)) for r in corpus.recordings if r.id not in done]
        job = partial(
            prepare,
            fps=fps or corpus.fps,
            allow_mismatch=allow_mismatch,
            head=finished if finished.kind == "displacement" else None,
            keep=not drop_vertices,
        )
        with progress("preprocessing", total=len(corpus.recordings)) as advance:
            advance(len(done))
            for (recording, _), outcome in prepare_all(waiting, job, jobs or cpu_count() or 1):
                try:
                    if isinstance(outcome, Failure):
                        raise ThunderError(outcome.reason)
                    clip = _clip(recording, splits[recording.id], outcome)
                    _write_whole(writer, clip, outcome.raw.vertices, error, outcome.error)
                except ThunderError as refusal:
                    summary.failures.append(Failure(recording.id, str(refusal)))
                else:
                    summary.count(clip, outcome.remark)
                    if (frames := recording.frames) is not None:
                        summary.megabytes_read += min(clip.num_frames, len(frames)) * frames.bytes_a_frame / 1e6
                    _add_lag(lag, finished, clip)
                advance(1)
        if not summary.num_clips:
            reasons = summarise_failures(summary.failures, total, "recordings")
            raise ThunderError(f"{folder}: nothing to write, {reasons if total else 'no recordings found'}")
    summary.measured(finished, error, lag)
    summary.seconds = perf_counter() - begun
    return summary


def _write_whole(
    writer: ClipWriter,
    clip: Clip,
    frames: Frames | None,
    total: ReconstructionError,
    error: ReconstructionError | None,
) -> None:
    """Writes a clip so that an interrupted run leaves neither half of it nor figures of another one."""
    with deferred_interrupts():
        writer.add(clip, None if frames is None else in_blocks(frames))
        if error is not None:
            total.merge(error)
            writer.note_reconstruction(total.figures(writer.head))
        writer.file.flush()


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
    usable = [r for r in corpus.recordings if r.frames is not None]
    chosen = [r for r in usable if splits[r.id] == "train"] or usable
    step = max(1, ceil(sum(len(r.frames) for r in chosen if r.frames is not None) / _MAX_FRAMES_TO_FIT))

    failures: list[Failure] = []

    def displacements(advance: Advance) -> Iterator[np.ndarray]:
        for recording in chosen:
            assert recording.frames is not None
            template = corpus.templates.get(recording.subject, corpus.head.template)
            try:
                check_same_order("first frame", recording.frames[:1][0], template, corpus.head.faces)
                for start in range(0, len(recording.frames), step * _FIT_BLOCK_FRAMES):
                    yield recording.frames[start : start + step * _FIT_BLOCK_FRAMES : step] - template
            except ThunderError as error:  # The second reading fails likewise, and is what reports it.
                failures.append(Failure(recording.id, str(error)))
            advance(1)

    try:
        with progress("fitting the head", total=len(chosen)) as advance:
            return fit_displacement_head(corpus.head, read_ahead(displacements(advance)), components)
    except ThunderError:
        if len(failures) < len(chosen):
            raise
        raise ThunderError(summarise_failures(failures, len(chosen), "recordings")) from None


def _add_lag(lag: LagEstimate, head: HeadRecord, clip: Clip) -> None:
    opening = lip_opening(head, clip.motion)
    if opening is not None:
        lag.add(to_float(clip.waveform), opening, clip.fps)


def _clip(recording: Recording, split: str, prepared: Prepared) -> Clip:
    raw = prepared.raw
    return Clip(
        id=recording.id,
        fps=raw.fps,
        waveform=to_int16(raw.waveform),
        motion=prepared.motion,
        subject=recording.subject,
        emotion=raw.emotion,
        intensity=raw.intensity,
        language=raw.language,
        transcript=raw.transcript,
        split=split,
        phones=raw.phones,
    )
