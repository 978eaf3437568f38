"""The report of `evaluate`: files of samples side by side, in figures, clip by clip, in curves and on the surface."""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.artifacts.files import read_artifact
from stages.artifacts.listing import root_attributes
from stages.artifacts.metrics_file import Evaluation, Measured
from stages.heads.head import build_head
from stages.pages.figures_of_metrics import difference_blocks, formulas, in_order, metric_table, row_of, strips
from stages.pages.lip_chart import MOST_SECONDS, Voice, lip_chart
from stages.pages.page import Block, Details, Facts, Figure, Page, Prose, Section
from stages.pages.pictures import surface_figure
from stages.pages.provenance import file_facts
from stages.rendering.studio import Studio, whole_frames_a_thread
from stages.runtime.progress import Advance, Progress, silent
from stages.runtime.provenance import Provenance

# By the first of these that was measured, clips are best or worst.
_RANKED_BY = ("lve", "l-ccc", "closure-rate", "m2s-mel", "cer")
# Maps of the surface are means over so many frames a clip, evenly spaced: neighbouring ones say the same.
_FRAMES_A_CLIP = 16
_PANEL_HEIGHT = 200
_ROLES = {
    "reference": "Reference: the true motion",
    "m2s": "Judge: the mesh-to-speech model that listened",
    "recogniser": "Recogniser: read what the judge heard",
    "vocoder": "Vocoder: made sound of what the judge heard",
    "lipreader": "Lip reader: read the lips",
}


def evaluation_page(found: Evaluation, provenance: Provenance, progress: Progress = silent) -> Page:
    """The report.

    Args:
        found: what was measured; its samples and its reference are read again for curves and pictures.
        provenance: of the metrics.

    Raises:
        ThunderError: a file is damaged, or its motion is broken.
    """
    with ExitStack() as stack:
        files = [(one.label, stack.enter_context(open_clips(one.path, "thunder.samples"))) for one in found.files]
        reference = None
        if found.reference is not None and found.num_referenced:
            reference = stack.enter_context(open_clips(found.reference, "thunder.dataset"))
        bench = _Bench(files, reference)
        with progress("drawing the report", total=3 + len(bench.ids) * len(files)) as advance:
            clips = _clips(bench, found.files[0], advance)
            surfaces = [_surface(bench, k, advance) for k in range(len(files))]
    others = [one for one in found.files if one.differences]
    sections = [
        Section("Figures", [metric_table(found.files)]),
        *([Section("Differences", difference_blocks(found.files[0].label, others))] if others else []),
        Section("Clip by clip", strips(found.files)),
        Section("Lips and phones", clips),
        Section("On the surface", _surface_blocks(bench, surfaces)),
        Section("Formulas", formulas(found.files)),
        Section("What was compared", list(_compared(found, provenance))),
    ]
    names = ", ".join(one.label for one in found.files)
    against = f" against {found.reference.name}" if reference is not None and found.reference is not None else ""
    num_clips = len(found.clips)
    summary = f"{names}{against}: {num_clips} clip" + ("s" if num_clips != 1 else "")
    summary += f", {len(in_order(found.files))} metrics, head {found.head}."
    if found.convention != "thunder":
        summary += f" Figures by the convention of {found.convention}."
    return Page("Evaluation of " + names, summary, sections)


class _Bench:
    """Open files of samples and the truth, read as voices."""

    def __init__(self, files: Sequence[tuple[str, ClipFile]], reference: ClipFile | None) -> None:
        self.files, self.reference = files, reference
        self.heads = [build_head(file.head) for _, file in files]
        self.true_head = None if reference is None else build_head(reference.head)
        record = files[0][1].head
        self.record = record
        self.unit, self.factor = ("mm", 1e3) if record.units == "m" else (record.units, 1.0)
        self.ids = [i for i in files[0][1] if all(i in file for _, file in files)]

    def voice(self, number_of: int, clip_id: str) -> tuple[Clip, Voice]:
        """The takes of one file."""
        name, file = self.files[number_of]
        clip = file.read(clip_id)
        template = self._template(file, clip_id, clip.subject)
        return clip, Voice(name, number_of, self.heads[number_of], torch.from_numpy(clip.motion), template)

    def truth(self, clip_id: str) -> Voice | None:
        """What was recorded, where it is known."""
        if self.reference is None or self.true_head is None or clip_id not in self.reference:
            return None
        clip = self.reference.read(clip_id, vertices=self.reference.head.kind == "displacement")
        exact = None if clip.vertices is None else torch.from_numpy(clip.vertices)
        template = torch.from_numpy(self.reference.template(clip.subject))
        return Voice("recorded", None, self.true_head, torch.from_numpy(clip.motion[None]), template, exact)

    def _template(self, file: ClipFile, clip_id: str, subject: str) -> torch.Tensor:
        # Both faces stand on one template, so that what differs is motion and never identity.
        if self.reference is not None and clip_id in self.reference:
            return torch.from_numpy(self.reference.template(self.reference.summary(clip_id).subject))
        return torch.from_numpy(file.template(subject))


def _clips(bench: _Bench, measured: Measured, advance: Advance) -> list[Block]:
    """Best, median and worst clip of the first file."""
    row = next((row for name in _RANKED_BY if (row := row_of(measured, name)) is not None), None)
    if row is None:
        chosen = [(f"clip {clip_id}", clip_id) for clip_id in bench.ids[:1]]
    else:
        values = dict(zip(row.clip_ids, row.per_clip, strict=True))
        ranked = sorted((i for i in values if i in bench.ids), key=values.__getitem__, reverse=row.better == "more")
        # Of one clip or two, the last of its names that is true of it.
        places = {"median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1, "best": 0}
        named = {place: what for what, place in places.items()} if ranked else {}
        wanted = {ranked[place]: named[place] for place in sorted(named)}
        unit = "" if row.unit == "1" else f" {row.unit}"
        of = f" of {measured.label}" if len(bench.files) > 1 else ""
        chosen = [(f"{what}{of} by {row.name}: {i}, {values[i]:.4g}{unit}", i) for i, what in wanted.items()]
    blocks: list[Block] = []
    with whole_frames_a_thread() as num_workers:
        studio = Studio(bench.record, _PANEL_HEIGHT, torch.device("cpu"), num_workers)
        for title, clip_id in chosen:
            read = [bench.voice(k, clip_id) for k in range(len(bench.files))]
            truth = bench.truth(clip_id)
            voices = ([] if truth is None else [truth]) + [voice for _, voice in read]
            clip = read[0][0]
            drawing = lip_chart(clip, voices, studio, bench.unit, bench.factor)
            caption = _told_of_lips(clip, [voice for _, voice in read], bench.unit)
            blocks.append(Figure(drawing, title, caption, wide=True))
            advance(1)
    return blocks or [Prose("No clip is in all files.")]


def _told_of_lips(clip: Clip, voices: Sequence[Voice], unit: str) -> str:
    """What a chart of lips shows."""
    counts = [f"{len(v.motion)} take{'s' if len(v.motion) != 1 else ''} of {v.name}" for v in voices]
    several = max(len(voice.motion) for voice in voices) > 1
    parts = [
        f"“{clip.transcript}”" if clip.transcript else "",
        f"Distance of the mid-points of the inner lips without head pose, {unit}; N = {', '.join(counts)}.",
        "A line is the first take, a band all of them." if several else "",
        f"The first {MOST_SECONDS:g} s." if clip.num_frames / clip.fps > MOST_SECONDS else "",
        "Shaded: /p b m/, where lips close. Below: phones, sound," if clip.phones else "Below: sound,",
        "and the faces at these times.",
    ]
    return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class _Surface:
    """Means (V,) over clips and frames, head units: how far takes lie apart, and how far they are off the truth."""

    label: str
    spread: np.ndarray | None
    error: np.ndarray | None
    num_takes: int
    num_spreads: int
    num_errors: int


def _surface(bench: _Bench, number_of: int, advance: Advance) -> _Surface:
    spreads, errors, most = [], [], 0
    for clip_id in bench.ids:
        _, voice = bench.voice(number_of, clip_id)
        truth = bench.truth(clip_id)
        num_frames = voice.motion.shape[1] if truth is None else min(voice.motion.shape[1], truth.num_frames)
        frames = torch.linspace(0, num_frames - 1, min(_FRAMES_A_CLIP, num_frames)).round().long()
        with torch.inference_mode():
            takes = voice.head.vertices(voice.motion[:, frames], template=voice.template, pose=False)  # (N, t, V, 3)
            if len(takes) > 1:
                spreads.append(_apart(takes))
            if truth is not None:
                true = truth.vertices(frames)
                errors.append(torch.linalg.vector_norm(takes - true, dim=-1).mean((0, 1)))
        most = max(most, len(takes))
        advance(1)
    spread, error = (None if not of else torch.stack(of).mean(0).double().numpy() for of in (spreads, errors))
    return _Surface(bench.files[number_of][0], spread, error, most, len(spreads), len(errors))


def _apart(takes: torch.Tensor) -> torch.Tensor:
    """Mean (V,) over frames and pairs of takes of the distance of each vertex."""
    pairs = [torch.linalg.vector_norm(takes[j] - takes[k], dim=-1).mean(0) for k in range(len(takes)) for j in range(k)]
    return torch.stack(pairs).mean(0)


def _surface_blocks(bench: _Bench, surfaces: Sequence[_Surface]) -> list[Block]:
    blocks: list[Block] = []
    for title, told, formula, found in (
        (
            "spread of takes",
            "How far takes of the same speech lie apart.",
            "S-DIV of each vertex (metrics.diversity.sample_diversity): mean over pairs of takes and frames of the L2 distance",
            [(s, s.spread, s.num_spreads) for s in surfaces],
        ),
        (
            "error",
            "How far takes are off what was recorded.",
            "mean over takes and frames of the L2 distance of each vertex to what was recorded, as mve",
            [(s, s.error, s.num_errors) for s in surfaces],
        ),
    ):
        maps = [(surface, values * bench.factor, count) for surface, values, count in found if values is not None]
        # One scale for all files, which a few vertices do not decide.
        top = max((float(np.percentile(values, 99.5)) for _, values, _ in maps), default=0.0)
        blocks += [Prose(told)] if maps else []
        for surface, values, count in maps:
            name = f"{surface.label}: {title}"
            caption = (
                f"{formula}; unit {bench.unit}; all {len(values)} vertices without head pose, mean {values.mean():.3g}, "
                f"greatest {values.max():.3g}; N = {count} clips, {surface.num_takes} takes, {_FRAMES_A_CLIP} frames a clip"
            )
            blocks.append(Figure(surface_figure(bench.heads[0], values, top, bench.unit, name), name, caption))
    return blocks or [Prose("One take of each clip and no recorded motion: nothing to compare on the surface.")]


def _compared(found: Evaluation, provenance: Provenance) -> Iterable[Block]:
    for one in found.files:
        yield Prose(f"{one.label}: samples, {_takes(one)}")
        with read_artifact(one.path) as file:
            yield Facts(file_facts(one.path, root_attributes(file), one.sha256))
    for role, path in (
        ("reference", found.reference),
        ("m2s", found.m2s),
        ("recogniser", found.recogniser),
        ("vocoder", found.vocoder),
        ("lipreader", found.lip_reader),
    ):
        if path is not None:
            yield Prose(_ROLES[role])
            with read_artifact(path) as file:
                yield Facts(file_facts(path, root_attributes(file), found.inputs.get(role, "")))
    yield Prose("This evaluation")
    yield Facts(
        {
            "command": provenance.command,
            "seed of the bootstrap": str(found.seed),
            "head": f"{found.head} ({found.fingerprint}), unit {found.units}",
        }
    )
    for one in found.files:
        remarks = [f"{metric}: not computed: {reason}" for metric, reason in one.skipped.items()]
        remarks += [f"{metric}: not finite on {', '.join(clips)}" for metric, clips in one.left_out.items()]
        remarks += [f"lips not read: {reason}: {', '.join(clips)}" for reason, clips in one.unread.items()]
        if remarks:
            yield Details(f"{one.label}: what was left out", "\n".join(remarks))
    if provenance.config:
        yield Details("Configuration", json.dumps(provenance.config, indent=1, ensure_ascii=False))


def _takes(measured: Measured) -> str:
    fewest, most = measured.num_takes
    return (
        f"{most} take" + ("s" if most != 1 else "") + " a clip"
        if fewest == most
        else f"{fewest} to {most} takes a clip"
    )
