"""How good samples are: every metric over all clips, with intervals, and the rows per clip behind them."""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile, ClipSummary, open_clips
from stages.artifacts.files import check_output, read_json_attribute
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_file import MetricRow, write_metrics
from stages.heads.head import build_head
from stages.metrics.catalogue import CATALOGUE, Metric, find_metrics, region_hash
from stages.metrics.faces import ALL_VERTICES, ClipFaces, Face
from stages.metrics.lip_sync import closures_within
from stages.metrics.readability import num_characters, unreadable
from stages.metrics.statistics import bootstrap_interval, weighted_mean
from stages.metrics.visemes import LIPS_CLOSED, viseme_of
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech
from stages.models.recogniser import Recogniser, load_recogniser
from stages.models.vocoder import Vocoder, check_same_ears, load_vocoder
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs, sha256_of_file

# Sampling rounds a duration up or down to whole frames; more than this is another recording.
_MAX_TRIMMED_FRAMES = 2
# What a mesh-to-speech model may have done for samples, by the name that their inputs keep it under.
_PARTS = {
    "supervised_by": "supervised the model that made",
    "selected_by": "chose among the takes of",
    "guided_by": "guided the sampling of",
}


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and on what.

    Attributes:
        rows: one a metric, in the order of the catalogue.
        num_clips: in the samples.
        num_referenced: of them, those that the reference has too.
        num_takes: fewest and most takes of a clip.
        m2s: the mesh-to-speech model that listened, where one did, and `recogniser`, which read what it heard.
        left_out: metric -> clips whose value is not finite, such as the correlation of a face that does not move.
        skipped: metric -> why it was not computed, though others of the name asked for, or of the catalogue, were.
    """

    rows: list[MetricRow]
    num_clips: int
    num_referenced: int
    num_takes: tuple[int, int]
    m2s: Path | None
    recogniser: Path | None
    left_out: dict[str, list[str]]
    skipped: dict[str, str]


def evaluate(
    samples_path: Path,
    output: Path,
    *,
    reference_path: Path | None = None,
    m2s_paths: Sequence[Path] = (),
    hubert: Path | None = None,
    recogniser_path: Path | None = None,
    vocoder_path: Path | None = None,
    same_judge: bool = False,
    optional: Collection[str] = (),
    metrics: Sequence[str] | None = None,
    force: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> Evaluation:
    """Measures samples and writes `metrics.h5`.

    Args:
        samples_path: `thunder.samples`.
        output: `metrics.h5` to write.
        reference_path: `thunder.dataset` with the true motion of the same clips, where there is one.
        m2s_paths: `thunder.m2s`, frozen mesh-to-speech models of which the first that fits listens to the samples.
        hubert: the folder that the speech units of that model are made of, where they are.
        recogniser_path: `thunder.recogniser`, which reads what that model hears, where there is one.
        vocoder_path: `thunder.vocoder`, which makes sound of it first; without, its spectrogram is read.
        same_judge: let a model listen that had a part in making the samples.
        optional: `reference`, `m2s`, `recogniser`: inputs to do without, and say why, where they do not belong to the
            samples.
        metrics: names from the catalogue; None computes all that the inputs allow.
        seed: of the bootstrap.

    Raises:
        ThunderError: an input is missing or of another head or rate, a metric is unknown or lacks what it needs, no clip
            is in both files, the model that listens is an interested party, or a metric is not finite on any clip.
    """
    # Name asked for -> the metrics it stands for.
    asked = {name: find_metrics(name) for name in metrics or ()}
    wanted = {metric.name for found in asked.values() for metric in found}
    chosen = [metric for metric in CATALOGUE if metrics is None or metric.name in wanted]
    inputs = [samples_path, reference_path, *m2s_paths, recogniser_path, vocoder_path]
    check_output(output, force=force, inputs=inputs)
    with ExitStack() as stack:
        samples = stack.enter_context(open_clips(samples_path, "thunder.samples"))
        reader = _ClipReader(samples, resolve_device(device))
        needed = {need for metric in chosen for need in metric.needs}
        if reference_path is not None and "reference" in needed:
            reference = stack.enter_context(open_clips(reference_path, "thunder.dataset"))
            with _put_up_with("reference" in optional, reader, "reference"):
                reader.compare_with(reference)
        if m2s_paths and "m2s" in needed:
            with _put_up_with("m2s" in optional, reader, "m2s"):
                reader.listen_with(m2s_paths, hubert, same_judge=same_judge)
        if recogniser_path is not None and "recogniser" in needed:
            with _put_up_with("recogniser" in optional, reader, "recogniser"):
                reader.read_with(recogniser_path)
        if vocoder_path is not None and reader.judge is not None and reader.recogniser is not None:
            reader.speak_with(vocoder_path)
        skipped = {metric.name: reason for metric in chosen if (reason := reader.lacking(metric))}
        _refuse(asked, skipped)
        chosen = [metric for metric in chosen if metric.name not in skipped]
        table = _measure(chosen, reader, progress)
    impossible = table.impossible(chosen)
    if impossible:
        skipped |= impossible
        _refuse(asked, skipped)
        chosen = [metric for metric in chosen if metric.name not in impossible]
    rows: list[MetricRow] = []
    left_out: dict[str, list[str]] = {}
    for metric in chosen:
        row, clips_left_out = _summarise(metric, table, reader.record, seed)
        rows.append(row)
        if clips_left_out:
            left_out[metric.name] = clips_left_out
    provenance = Provenance(
        seed=seed,
        config={"metrics": [metric.name for metric in chosen], "left_out": left_out, "same_judge": same_judge},
        inputs=hash_inputs(
            samples=samples_path,
            reference=reference_path,
            m2s=reader.judge_path,
            recogniser=reader.recogniser_path,
            vocoder=reader.vocoder_path,
        ),
    )
    write_metrics(output, rows, provenance, force=force)
    return Evaluation(
        rows,
        len(table.num_frames),
        len(reader.shared),
        table.num_takes,
        reader.judge_path,
        reader.recogniser_path,
        left_out,
        skipped,
    )


def _refuse(asked: dict[str, list[Metric]], skipped: dict[str, str]) -> None:
    """Refuses a name none of whose metrics can be computed; of several, those that can be are."""
    for name, found in asked.items():
        if all(metric.name in skipped for metric in found):
            raise ThunderError(f"metric {name}: {skipped[found[0].name]}")


@contextmanager
def _put_up_with(optional: bool, reader: "_ClipReader", need: str) -> Iterator[None]:
    """Goes on without an optional input that does not belong to the samples, keeping the reason."""
    try:
        yield
    except ThunderError as error:
        if not optional:
            raise
        reader.lacks[need] = str(error)


class _ClipReader:
    """Reads one clip of the samples, with its truth, as faces."""

    def __init__(self, samples: ClipFile, device: torch.device) -> None:
        self.samples, self.device = samples, device
        self.head = build_head(samples.head).to(device)
        self.reference: ClipFile | None = None
        self.shared: list[str] = []
        self.judge: MeshToSpeech | None = None
        self.judge_path: Path | None = None
        self.recogniser: Recogniser | None = None
        self.recogniser_path: Path | None = None
        self.vocoder: Vocoder | None = None
        self.vocoder_path: Path | None = None
        self.lacks: dict[str, str] = {
            "reference": "needs the true motion; give --reference dataset.h5, made with `thunder preprocess`",
            "m2s": "needs a mesh-to-speech model; give --m2s judge.h5, made with `thunder train-m2s`",
            "recogniser": "needs a recogniser; give --recogniser recogniser.h5, made with `thunder train-recogniser`",
        }
        self._use_regions_of(samples.head)

    def compare_with(self, reference: ClipFile) -> None:
        """Takes the truth, and the regions, from a dataset.

        Raises:
            ThunderError: its vertices are not those of the samples, it has none of their clips, or one of another rate or
                length.
        """
        _check_comparable(self.samples, reference)
        shared = [clip_id for clip_id in self.samples if clip_id in reference]
        if not shared:
            raise ThunderError(
                f"no clip of {self.samples.path} is in {reference.path}: samples hold {_some(self.samples)}; the "
                f"reference holds {_some(reference)}"
            )
        for clip_id in shared:
            _check_same_timing(self.samples.summary(clip_id), reference.summary(clip_id), self.samples.path)
        self.reference, self.shared = reference, shared
        self.true_head = build_head(reference.head).to(self.device)
        # Not those of the samples: samples of several models are compared by one dataset.
        self._use_regions_of(reference.head)
        del self.lacks["reference"]

    def listen_with(self, m2s_paths: Sequence[Path], hubert: Path | None, *, same_judge: bool) -> None:
        """Lets a frozen mesh-to-speech model judge the faces: the first that fits.

        Raises:
            ThunderError: none does; says why the first does not.
        """
        refusals: list[ThunderError] = []
        for path in m2s_paths:
            try:
                judge, judge_head = load_mesh_to_speech(path, self.device, hubert=hubert)
                check_same_face(judge_head, self.samples.head, judge.config.input, path)
                if not same_judge:
                    _check_disinterested(path, self.samples)
            except ThunderError as error:
                refusals.append(error)
            else:
                self.judge, self.judge_path = judge, path
                del self.lacks["m2s"]
                return
        raise refusals[0]

    def read_with(self, recogniser_path: Path) -> None:
        """Lets a frozen recogniser read what the judge hears.

        Raises:
            ThunderError: not such a model, or there is no transcript that it could write.
        """
        recogniser = load_recogniser(recogniser_path, self.device)
        transcripts = {clip_id: self.samples.summary(clip_id).transcript for clip_id in self.samples}
        told = {clip_id: text for clip_id, text in transcripts.items() if num_characters(text)}
        if not told:
            raise ThunderError(
                f"{self.samples.path}: no clip has a transcript to compare with; give each sound its text, in <name>.txt "
                f"beside it, and sample again"
            )
        strange = {clip_id: unreadable(recogniser, text) for clip_id, text in told.items()}
        if all(strange.values()):
            clip_id, characters = next(iter(strange.items()))
            raise ThunderError(
                f"{recogniser_path}: cannot write {characters!r} of clip {clip_id}, nor any other transcript of "
                f"{self.samples.path}; train one on this language with `thunder train-recogniser`"
            )
        self.recogniser, self.recogniser_path = recogniser, recogniser_path
        del self.lacks["recogniser"]

    def speak_with(self, vocoder_path: Path) -> None:
        """Lets a vocoder make sound of what the judge hears, for the recogniser.

        Raises:
            ThunderError: not such a model, or one made for another judge.
        """
        assert self.judge is not None
        assert self.judge_path is not None
        vocoder = load_vocoder(vocoder_path, self.device)
        check_same_ears(vocoder, self.judge, vocoder_path, self.judge_path)
        self.vocoder, self.vocoder_path = vocoder, vocoder_path

    def _use_regions_of(self, record: HeadRecord) -> None:
        self.record = record
        regions = {name: torch.from_numpy(indices).long() for name, indices in record.regions.items() if len(indices)}
        regions[ALL_VERTICES] = torch.arange(len(record.template))
        self.regions = {name: indices.to(self.device) for name, indices in regions.items()}

    def lacking(self, metric: Metric) -> str:
        """Why a metric cannot be computed, in one line; empty where it can."""
        if metric.region and metric.region not in self.regions:
            return f"head {self.record.name} has no region {metric.region!r}; it has {', '.join(self.regions)}"
        return next((reason for need, reason in self.lacks.items() if need in metric.needs), "")

    def read(self, clip_id: str) -> ClipFaces:
        """One clip."""
        clip = self.samples.read(clip_id)
        template_file, subject, truth = self.samples, clip.subject, None
        if self.reference is not None and clip_id in self.reference:
            # Exact vertices are the truth where motion, a projection, only approximates them.
            truth = self.reference.read(clip_id, vertices=self.reference.head.kind == "displacement")
            template_file, subject = self.reference, truth.subject
        num_frames = min(clip.num_frames, clip.num_frames if truth is None else truth.num_frames)
        # Both faces stand on one template, so that what differs is motion and never identity.
        template = self._tensor(template_file.template(subject))
        return ClipFaces(
            id=clip_id,
            fps=clip.fps,
            takes=Face(self.head, self._tensor(clip.motion[:, :num_frames]), template),
            truth=None if truth is None else self._true_face(truth, num_frames, template),
            regions=self.regions,
            waveform=self._tensor(clip.waveform),
            transcript=clip.transcript,
            closures=closures_within(
                [(p.start_s, p.end_s) for p in clip.phones if viseme_of(p.label) == LIPS_CLOSED], clip.fps, num_frames
            ),
            judge=self.judge,
            reader=self.recogniser,
            vocoder=self.vocoder,
        )

    def _true_face(self, truth: Clip, num_frames: int, template: Tensor) -> Face:
        exact = None if truth.vertices is None else self._tensor(truth.vertices[:num_frames])
        return Face(self.true_head, self._tensor(truth.motion[:num_frames]), template, exact)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def _check_disinterested(m2s_path: Path, samples: ClipFile) -> None:
    """Refuses a model that had a part in what it would judge: motion can be made to please its judge."""
    inputs = read_json_attribute(samples.file, "inputs")
    own = sha256_of_file(m2s_path)
    for key, part in _PARTS.items():
        if inputs.get(key) == own:
            raise ThunderError(
                f"{m2s_path}: {part} {samples.path}, so that it flatters it; judge with another, made with "
                f"`thunder train-m2s --seed 100 -o judge.h5`, or give --same-judge"
            )


def _check_comparable(samples: ClipFile, reference: ClipFile) -> None:
    ours, theirs = samples.head, reference.head
    if ours.fingerprint != theirs.fingerprint or ours.units != theirs.units:
        raise ThunderError(
            f"{samples.path} is of head {ours.name} ({ours.fingerprint}, {ours.units}), {reference.path} of "
            f"{theirs.name} ({theirs.fingerprint}, {theirs.units}): vertices do not correspond; evaluate against a "
            f"dataset of the same head"
        )


def _check_same_timing(ours: ClipSummary, theirs: ClipSummary, samples_path: Path) -> None:
    if not math.isclose(ours.fps, theirs.fps, rel_tol=1e-4):
        raise ThunderError(
            f"clip {ours.id}: {samples_path} has {ours.fps:g} fps, the reference {theirs.fps:g}; sample at the rate of the "
            f"reference"
        )
    if abs(ours.num_frames - theirs.num_frames) > _MAX_TRIMMED_FRAMES:
        raise ThunderError(
            f"clip {ours.id}: {samples_path} has {ours.num_frames} frames, the reference {theirs.num_frames}; wanted the "
            f"same, up to {_MAX_TRIMMED_FRAMES}: is it another recording of that name?"
        )


def _some(clips: ClipFile) -> str:
    ids = list(clips)
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


@dataclass
class _Table:
    """Values of every metric on every clip that it was computed on, and what the clips weigh where they do not count alike."""

    values: dict[str, dict[str, float]]
    num_frames: dict[str, int]
    num_characters: dict[str, int]
    num_closures: dict[str, int]
    num_takes: tuple[int, int]

    def weights(self, metric: Metric, clip_ids: Collection[str]) -> np.ndarray | None:
        """What the clips weigh in the metric's mean, (clips,); None where all weigh the same."""
        counts = {
            "clip": None,
            "frame": self.num_frames,
            "character": self.num_characters,
            "closure": self.num_closures,
        }[metric.weight]
        return None if counts is None else np.array([counts[clip_id] for clip_id in clip_ids], float)

    def impossible(self, metrics: Sequence[Metric]) -> dict[str, str]:
        """Metrics that the clips leave undefined, one and all, and why."""
        reasons = {}
        if self.num_takes[1] == 1:
            reasons["takes"] = "needs at least two takes of a clip, found one"
        if not any(self.num_closures.values()):
            reasons["closures"] = (
                "needs the times of phones, among them P, B or M; they come with the clips of a dataset"
            )
        return {m.name: reason for m in metrics for need, reason in reasons.items() if need in m.needs}


def _measure(metrics: list[Metric], reader: _ClipReader, progress: Progress) -> _Table:
    values: dict[str, dict[str, float]] = {metric.name: {} for metric in metrics}
    num_frames: dict[str, int] = {}
    characters: dict[str, int] = {}
    closures: dict[str, int] = {}
    takes: list[int] = []
    ids = list(reader.samples)
    with progress("evaluating", total=len(ids)) as advance, torch.inference_mode():
        for clip_id in ids:
            clip = reader.read(clip_id)
            num_frames[clip_id] = clip.takes.num_frames
            characters[clip_id] = num_characters(clip.transcript)
            closures[clip_id] = len(clip.closures)
            takes.append(clip.num_takes)
            for metric in metrics:
                if clip.has(metric.needs):
                    values[metric.name][clip_id] = metric.value(clip, reader.record.units)
            advance(1)
    return _Table(values, num_frames, characters, closures, (min(takes), max(takes)))


def _summarise(metric: Metric, table: _Table, record: HeadRecord, seed: int) -> tuple[MetricRow, list[str]]:
    """The metric's row, and the clips on which it is not finite."""
    per_clip = table.values[metric.name]
    good = {clip_id: value for clip_id, value in per_clip.items() if math.isfinite(value)}
    bad = [clip_id for clip_id in per_clip if clip_id not in good]
    if not good:
        raise ThunderError(
            f"metric {metric.name}: not finite on any of {len(bad)} clips ({', '.join(bad[:5])}): too short, or faces "
            f"that do not move; look at them with `thunder render`, or leave it out of --metrics"
        )
    values = np.array(list(good.values()))
    weights = table.weights(metric, good)
    low, high = bootstrap_interval(values, weights, seed=seed)
    num_vertices = len(record.template)
    indices = np.arange(num_vertices) if metric.region == ALL_VERTICES else record.regions.get(metric.region)
    return MetricRow(
        name=metric.name,
        unit=metric.unit(record.units)[0],
        formula=metric.formula_id,
        region=metric.region,
        region_hash="" if indices is None else region_hash(indices),
        value=weighted_mean(values, weights),
        low=low,
        high=high,
        clip_ids=tuple(good),
        per_clip=values,
        weights=weights,
    ), bad
