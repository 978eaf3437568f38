"""Clips of samples as faces, each with its truth and with the models that judge it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile, ClipSummary
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head
from stages.metrics.catalogue import Metric
from stages.metrics.faces import ALL_VERTICES, ClipFaces, Face
from stages.metrics.judges import check_disinterested
from stages.metrics.lip_sync import closures_within
from stages.metrics.readability import num_characters, unreadable
from stages.metrics.visemes import LIPS_CLOSED, viseme_of
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech
from stages.models.recogniser import Recogniser, load_recogniser
from stages.models.vocoder import Vocoder, check_same_ears, load_vocoder
from stages.runtime.errors import ThunderError

# Sampling rounds a duration up or down to whole frames; more than this is another recording.
_MAX_TRIMMED_FRAMES = 2


class ClipReader:
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
                    check_disinterested(path, self.samples)
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
