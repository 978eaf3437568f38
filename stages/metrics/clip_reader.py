"""Clips of samples as faces, each with its truth and with the models that judge it."""

import numpy as np
import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head
from stages.metrics.catalogue import Metric, Need
from stages.metrics.comparable import check_same_head, check_same_timing, some_of
from stages.metrics.faces import ALL_VERTICES, ClipFaces, Face
from stages.metrics.judges import Judges
from stages.metrics.lip_sync import closures_within
from stages.metrics.visemes import LIPS_CLOSED, viseme_of
from stages.runtime.errors import ThunderError


class ClipReader:
    """Reads one clip of the samples, with its truth, as faces.

    Args:
        cut: whether motion and truth are cut to the shorter, as this toolkit does; otherwise motion is cut to the truth and
            must not be shorter, as CodeTalker's script has it.
    """

    def __init__(self, samples: ClipFile, judges: Judges, *, cut: bool = True) -> None:
        self.samples, self.judges, self.cut = samples, judges, cut
        self.head = build_head(samples.head).to(judges.device)
        self.reference: ClipFile | None = None
        self.shared: list[str] = []
        self.lacks: dict[Need, str] = {
            "reference": "needs the true motion; give --reference dataset.h5, made with `thunder preprocess`",
        }
        self._use_regions_of(samples.head)

    def shared_with(self, reference: ClipFile) -> list[str]:
        """The clips that a dataset has the truth of.

        Raises:
            ThunderError: its vertices are not those of the samples, it has none of their clips, or one of another rate or
                length.
        """
        check_same_head(self.samples, reference)
        shared = [clip_id for clip_id in self.samples if clip_id in reference]
        if not shared:
            raise ThunderError(
                f"no clip of {self.samples.path} is in {reference.path}: samples hold {some_of(self.samples)}; the "
                f"reference holds {some_of(reference)}"
            )
        for clip_id in shared:
            check_same_timing(
                self.samples.summary(clip_id), reference.summary(clip_id), self.samples.path, cut=self.cut
            )
        return shared

    def compare_with(self, reference: ClipFile, shared: list[str]) -> None:
        """Takes the truth of the shared clips, and the regions, from a dataset."""
        self.reference, self.shared = reference, shared
        self.true_head = build_head(reference.head).to(self.judges.device)
        # Not those of the samples: samples of several models are compared by one dataset.
        self._use_regions_of(reference.head)
        self.lacks.clear()

    def transcripts(self) -> dict[str, str]:
        """What is said in every clip; empty where nobody knows."""
        return {clip_id: self.samples.summary(clip_id).transcript for clip_id in self.samples}

    def _use_regions_of(self, record: HeadRecord) -> None:
        self.record = record
        regions = {name: torch.from_numpy(indices).long() for name, indices in record.regions.items() if len(indices)}
        regions[ALL_VERTICES] = torch.arange(len(record.template))
        self.regions = {name: indices.to(self.judges.device) for name, indices in regions.items()}

    def lacking(self, metric: Metric) -> str:
        """Why a metric cannot be computed, in one line; empty where it can."""
        if metric.region and metric.region not in self.regions:
            return f"head {self.record.name} has no region {metric.region!r}; it has {', '.join(self.regions)}"
        lacks = self.lacks | self.judges.lacks
        return next((reason for need, reason in lacks.items() if need in metric.needs), "")

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
            language=clip.language,
            closures=closures_within(
                [(p.start_s, p.end_s) for p in clip.phones if viseme_of(p.label) == LIPS_CLOSED], clip.fps, num_frames
            ),
            judge=self.judges.m2s,
            reader=self.judges.recogniser,
            vocoder=self.judges.vocoder,
            lip_judge=self.judges.lips_of(clip_id),
            seconds_a_take=clip.seconds_a_take,
        )

    def _true_face(self, truth: Clip, num_frames: int, template: Tensor) -> Face:
        exact = None if truth.vertices is None else self._tensor(truth.vertices[:num_frames])
        return Face(self.true_head, self._tensor(truth.motion[:num_frames]), template, exact)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.judges.device)
