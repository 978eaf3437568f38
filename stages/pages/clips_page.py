"""The page of a dataset or of samples: what is in it, what is missing, whether sound and motion belong together."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from stages.artifacts.clips import SPLITS, ClipFile, ClipSummary
from stages.corpora.lag import LagEstimate, lip_opening
from stages.pages import charts
from stages.pages.page import Block, Facts, Figure, Page, Prose, Section, Table, number
from stages.pages.pictures import portrait_strip, portraits
from stages.pages.provenance import provenance_section
from stages.runtime.progress import Progress, silent

# The lag is settled by some minutes of speech; clips beyond these, spread over the file, would not change it.
_MOST_CLIPS_HEARD = 200
_MOST_NAMED, _MOST_ROWS = 5, 20
# Sound and motion of one clip end together, but for rounding.
_MOST_FRAMES_APART = 2
_NUM_PORTRAITS, _PORTRAIT_HEIGHT = 8, 220


def clips_page(clips: ClipFile, attributes: dict[str, Any], progress: Progress = silent) -> Page:
    """The page of an open dataset or samples file.

    Args:
        clips: the file.
        attributes: its root attributes.

    Raises:
        ThunderError: a clip is damaged.
    """
    summaries = [clips.summary(clip_id) for clip_id in clips]
    hours = sum(s.duration_s for s in summaries) / 3600
    subjects = {s.subject for s in summaries}
    takes = [s.num_takes for s in summaries]
    what = "Dataset" if clips.schema == "thunder.dataset" else "Samples"
    summary = f"{_count(len(summaries), 'clip')}, {_hours(hours)} of speech, {_count(len(subjects), 'speaker')}"
    if clips.schema == "thunder.samples":
        fewest, most = min(takes), max(takes)
        summary += f", {_count(most, 'take')}" if fewest == most else f", {fewest} to {most} takes"
        summary += " a clip"
    estimates = _lags(clips, summaries, progress)
    return Page(
        f"{what} {clips.path.name}",
        f"{summary}.",
        [
            Section("Pictures", [_pictures(clips)]),
            Section("Clips", list(_make_up(summaries))),
            Section("Missing pieces", list(_missing(summaries, clips))),
            Section("Sound and motion", list(_lag_blocks(*estimates))),
            Section("Head", [_head(clips)]),
            provenance_section(clips.path, attributes),
        ],
    )


def _pictures(clips: ClipFile) -> Figure:
    found = portraits(clips, _NUM_PORTRAITS, _PORTRAIT_HEIGHT)
    caption = "Each at the frame of its clip with the widest lips (distance of the inner lips' mid-points)."
    return Figure(portrait_strip(found, _PORTRAIT_HEIGHT), "Heads", caption, wide=True)


def _make_up(summaries: list[ClipSummary]) -> Iterable[Block]:
    rows = []
    for split in _splits_of(summaries):
        of_split = [s for s in summaries if s.split == split]
        people = len({s.subject for s in of_split})
        minutes = sum(s.duration_s for s in of_split) / 60
        frames = sum(s.num_frames for s in of_split)
        rows.append((split, number(len(of_split), 9), number(minutes), number(people, 9), number(frames, 9)))
    yield Table(("split", "clips", "minutes", "speakers", "frames"), rows)
    durations = np.array([s.duration_s for s in summaries])
    caption = (
        f"seconds of sound; median {np.median(durations):.3g}, shortest {durations.min():.3g}, longest "
        f"{durations.max():.3g}; N = {len(durations)} clips"
    )
    yield Figure(charts.histogram(durations, "s", "durations"), "Durations", caption)
    for name, of in (
        ("speaker", lambda s: s.subject),
        ("language", lambda s: s.language),
        ("emotion", lambda s: s.emotion),
        ("frame rate", lambda s: f"{s.fps:g} fps"),
    ):
        yield _by(name, of, summaries)
    counts = Counter(s.num_takes for s in summaries)
    if len(counts) > 1:
        yield Table(("takes", "clips"), [(number(n), number(count)) for n, count in sorted(counts.items())])


def _by(name: str, of: Callable[[ClipSummary], str], summaries: list[ClipSummary]) -> Figure:
    minutes: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(_splits_of(summaries), 0.0))
    for s in summaries:
        minutes[of(s)][s.split] += s.duration_s / 60
    caption = f"minutes of sound; {_count(len(minutes), name)}, N = {len(summaries)} clips"
    if len(minutes) <= _MOST_ROWS:
        ranked = sorted(minutes, key=lambda key: -sum(minutes[key].values()))
        drawing = charts.bars({key: minutes[key] for key in ranked}, "min", f"minutes by {name}")
        return Figure(drawing, f"By {name}", caption)
    rows = []
    for split in _splits_of(summaries):
        found = {key: parts[split] for key, parts in minutes.items() if parts[split]}
        rows.append(charts.Spread(f"{split}: {_count(len(found), name)}", np.array(list(found.values())), list(found)))
    return Figure(charts.strip(rows, "min", f"minutes by {name}"), f"By {name}", f"a dot a {name}; {caption}")


def _splits_of(summaries: list[ClipSummary]) -> list[str]:
    found = {s.split for s in summaries}
    return [split for split in SPLITS if split in found]


def _missing(summaries: list[ClipSummary], clips: ClipFile) -> Iterable[Block]:
    checks: list[tuple[str, Callable[[ClipSummary], bool]]] = [
        ("transcript", lambda s: not s.transcript.strip()),
        ("times of phones", lambda s: s.num_phones == 0),
        ("exact vertices", lambda s: not s.has_vertices),
        ("speaker", lambda s: s.subject in ("", "unknown")),
        ("language", lambda s: s.language in ("", "unknown")),
        (f"sound and motion that end within {_MOST_FRAMES_APART} frames of each other", _ends_apart),
    ]
    if clips.head.kind != "displacement" and not any(s.has_vertices for s in summaries):
        # Motion of other heads is exact.
        del checks[2]
    rows = []
    for what, lacks in checks:
        lacking = [s.id for s in summaries if lacks(s)]
        named = ", ".join(lacking[:_MOST_NAMED]) + (", ..." if len(lacking) > _MOST_NAMED else "")
        rows.append((what, number(len(lacking), 9), number(100 * len(lacking) / len(summaries), 3), named))
    yield Table(("what", "clips without", "%", "which"), rows, f"N = {len(summaries)} clips")


def _ends_apart(summary: ClipSummary) -> bool:
    return abs(summary.duration_s * summary.fps - summary.num_frames) > _MOST_FRAMES_APART


def _lags(
    clips: ClipFile, summaries: list[ClipSummary], progress: Progress
) -> tuple[LagEstimate, dict[str, LagEstimate]]:
    """The lag of all clips that are heard together, and of each speaker."""
    whole, speakers = LagEstimate(), defaultdict[str, LagEstimate](LagEstimate)
    chosen = np.linspace(0, len(summaries) - 1, min(_MOST_CLIPS_HEARD, len(summaries))).round().astype(int)
    with progress("listening", total=len(chosen)) as advance:
        for k in chosen:
            clip = clips.read(summaries[k].id)
            for motion in clip.takes:
                opening = lip_opening(clips.head, motion)
                if opening is not None:
                    waveform = np.float32(1 / 32768) * clip.waveform.astype(np.float32)
                    whole.add(waveform, opening, clip.fps)
                    speakers[clip.subject].add(waveform, opening, clip.fps)
            advance(1)
    return whole, dict(speakers)


def _lag_blocks(whole: LagEstimate, speakers: dict[str, LagEstimate]) -> Iterable[Block]:
    peak = whole.peak()
    if peak is None:
        yield Prose("No clip is a second long and moves its lips by shapes that are known: no lag can be told.")
        return
    lag, height = peak
    clear = whole.clear_from()
    if height >= clear:
        side = "later" if lag > 0 else "earlier"
        when = "when" if round(lag) == 0 else f"{abs(lag):.0f} ms {side} than"
        verdict = f"Lips open most {when} the sound is loudest (correlation {height:.2f})."
        if abs(lag) > 100:
            verdict += " That is too much for people: was the sound cut, or the motion resampled, wrongly?"
    else:
        verdict = (
            f"Opening and loudness hardly go together (at best {height:.2f}, by chance {clear:.2f}): "
            f"do sound and motion belong together?"
        )
    yield Prose(verdict)
    curve = whole.products / whole.weight
    lags = (np.arange(len(curve)) - len(curve) // 2) * 10.0
    caption = (
        "Pearson correlation of the logarithm of energy (20 ms) with the opening of the lips, lips later to the right; "
        f"N = {whole.num_clips} takes, {whole.weight / 100:.0f} s"
    )
    drawing = charts.lines([charts.Curve("all", lags, curve)], "lag in ms", "r", "lag of lips behind sound")
    yield Figure(drawing, "Lag of the lips behind the sound", caption)
    peaks = {name: estimate.peak() for name, estimate in speakers.items()}
    clear_ones = {n: p[0] for n, p in peaks.items() if p is not None and p[1] >= speakers[n].clear_from()}
    if len(clear_ones) > 1:
        values = np.array(list(clear_ones.values()))
        spread = charts.Spread("lag", values, list(clear_ones), mean=float(np.median(values)))
        caption = (
            f"ms, a dot a speaker, the line their median; N = {len(values)} of {len(peaks)} speakers, whose peak is "
            f"above chance"
        )
        yield Figure(charts.strip([spread], "ms", "lag by speaker"), "Lag by speaker", caption)


def _head(clips: ClipFile) -> Facts:
    head = clips.head
    return Facts(
        {
            "head": f"{head.name} ({head.kind})",
            "vertices": str(len(head.template)),
            "faces": str(len(head.faces)),
            "unit": head.units,
            "fingerprint": head.fingerprint,
            "features": f"{len(head.features)}: {', '.join(head.features[:8])}"
            + (", ..." if len(head.features) > 8 else ""),
            "regions": ", ".join(f"{name} ({len(indices)})" for name, indices in head.regions.items()),
        }
    )


def _count(number_of: int, what: str) -> str:
    return f"{number_of:,} {what}" + ("s" if number_of != 1 else "")


def _hours(hours: float) -> str:
    return f"{hours:.2f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
