"""How good samples are: every metric over all clips, with intervals, and the rows per clip behind them.

Samples of several models on the same clips stand side by side, each with its paired difference from the first.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from stages.artifacts.clips import ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.artifacts.metrics_csv import write_metrics_csv
from stages.artifacts.metrics_file import Evaluation, Measured, MetricRow, write_comparison, write_metrics
from stages.artifacts.metrics_latex import write_metrics_latex
from stages.corpora.synthesis.pronunciation import pronounce
from stages.metrics.catalogue import CATALOGUE, Metric, Need, find_metrics
from stages.metrics.clip_reader import ClipReader
from stages.metrics.clip_table import NO_MOUTH, ClipTable, difference_of, measure, summarise
from stages.metrics.codetalker import CODETALKER
from stages.metrics.comparable import check_same_clips, check_same_regions
from stages.metrics.judges import Judges
from stages.metrics.lip_readability import LipJudge
from stages.models.lip_reader import LipReader
from stages.pages.evaluation_page import evaluation_page
from stages.pages.page import write_page
from stages.rendering.lip_films import film_face
from stages.rendering.mouth_crops import mouth_scene
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs, sha256_of_file

# By whose definition a figure of that name is computed.
CONVENTIONS: dict[str, tuple[Metric, ...]] = {"thunder": CATALOGUE, "codetalker": CODETALKER}


def evaluate(
    samples_paths: Sequence[Path],
    output: Path,
    *,
    reference_path: Path | None = None,
    m2s_paths: Sequence[Path] = (),
    hubert: Path | None = None,
    recogniser_path: Path | None = None,
    vocoder_path: Path | None = None,
    lip_reader_paths: Sequence[Path] = (),
    same_judge: bool = False,
    optional: Collection[str] = (),
    metrics: Sequence[str] | None = None,
    convention: str = "thunder",
    csv_path: Path | None = None,
    latex_path: Path | None = None,
    report_path: Path | None = None,
    force: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> Evaluation:
    """Measures samples and writes `metrics.h5`.

    Args:
        samples_paths: one `thunder.samples`, or several of the same clips, of which the others are compared with the first.
        output: `metrics.h5` to write.
        reference_path: `thunder.dataset` with the true motion of the same clips, where there is one.
        m2s_paths: `thunder.m2s`, frozen mesh-to-speech models of which the first that fits listens to the samples.
        hubert: the folder that the speech units of that model are made of, where they are.
        recogniser_path: `thunder.recogniser`, which reads what that model hears, where there is one.
        vocoder_path: `thunder.vocoder`, which makes sound of it first; without, its spectrogram is read.
        lip_reader_paths: `thunder.lipreader`, frozen lip readers of which the first that may and can reads the lips.
        same_judge: let a model judge that had a part in making the samples.
        optional: `reference`, `m2s`, `recogniser`, `lipreader`: inputs to do without, and say why, where they do not belong
            to the samples.
        metrics: names from the catalogue; None computes all that the inputs allow, and reads the lips of no clip of which a
            frame shows no mouth.
        convention: `thunder`, or `codetalker` for LVE and FDD as its published script computes them.
        csv_path: every figure, one a row, where it is given; `latex_path` a table for a paper; `report_path` an HTML page.
        seed: of the bootstrap.

    Raises:
        ThunderError: an input is missing or of another head or rate, samples are of different clips or regions, a metric is
            unknown or lacks what it needs, no clip is in both files, the model that judges is an interested party, a frame
            shows no mouth where `metrics` ask for lips to be read, or a metric is not finite on any clip.
    """
    catalogue = _catalogue(convention)
    # Name asked for -> the metrics it stands for.
    asked = {name: find_metrics(name, catalogue) for name in metrics or ()}
    chosen = [m for m in catalogue if metrics is None or any(m in found for found in asked.values())]
    needed = {need for metric in chosen for need in metric.needs}
    given: dict[str, tuple[object, set[Need]]] = {
        "reference": (reference_path, {"reference"}),
        "m2s": (m2s_paths, {"m2s"}),
        "recogniser": (recogniser_path, {"recogniser"}),
        "vocoder": (vocoder_path, {"recogniser"}),
        "lipreader": (lip_reader_paths, {"lipreader"}),
        "same-judge": (same_judge, {"m2s", "lipreader"}),
    }
    _refuse_idle(given, optional, needed)
    labels = _label(samples_paths)
    inputs = [*samples_paths, reference_path, *m2s_paths, recogniser_path, vocoder_path, *lip_reader_paths]
    for path in filter(None, (output, csv_path, latex_path, report_path)):
        check_output(path, force=force, inputs=inputs)
    with ExitStack() as stack:
        files = [stack.enter_context(open_clips(path, "thunder.samples")) for path in samples_paths]
        check_same_clips(files)
        judges = Judges(resolve_device(device))
        readers = [ClipReader(file, judges, cut=convention == "thunder") for file in files]
        if reference_path is not None and "reference" in needed:
            reference = stack.enter_context(open_clips(reference_path, "thunder.dataset"))
            with _put_up_with("reference" in optional, readers[0].lacks, "reference"):
                _compare_all(readers, reference)
        if readers[0].reference is None:
            check_same_regions(files)
        transcripts = readers[0].transcripts()
        if m2s_paths and "m2s" in needed:
            with _put_up_with("m2s" in optional, judges.lacks, "m2s"):
                judges.listen(m2s_paths, files, hubert, same_judge=same_judge)
        if recogniser_path is not None and "recogniser" in needed:
            with _put_up_with("recogniser" in optional, judges.lacks, "recogniser"):
                judges.read_speech(recogniser_path, transcripts, samples_paths[0])
        if vocoder_path is not None:
            judges.speak(vocoder_path)
        if lip_reader_paths and "lipreader" in needed:
            with _put_up_with("lipreader" in optional, judges.lacks, "lipreader"):
                judge_of = partial(_lip_judge, files[0], judges)
                judges.read_lips(lip_reader_paths, files, transcripts, judge_of, same_judge=same_judge)
        skipped = {metric.name: reason for metric in chosen if (reason := readers[0].lacking(metric))}
        _refuse(asked, [skipped])
        chosen = [metric for metric in chosen if metric.name not in skipped]
        # What is of the truth is the same for all.
        of_takes = [metric for metric in chosen if not metric.of_truth]
        tables = [
            measure(chosen if reader is readers[0] else of_takes, reader, progress, see_all=metrics is not None)
            for reader in readers
        ]
        clips = tuple(files[0].summary(clip_id) for clip_id in files[0])
    impossible = [table.impossible(chosen) for table in tables]
    _refuse(asked, [skipped | reasons for reasons in impossible])
    measured = [
        _summarise_file(chosen, skipped | reasons, table, reader, seed, label, path)
        for reasons, table, reader, label, path in zip(impossible, tables, readers, labels, samples_paths, strict=True)
    ]
    measured = [measured[0], *(_against(measured[0], other, seed) for other in measured[1:])]
    hashes = _hash_samples(measured) | hash_inputs(
        reference=reference_path,
        m2s=judges.m2s_path,
        recogniser=judges.recogniser_path,
        vocoder=judges.vocoder_path,
        lipreader=judges.lip_reader_path,
    )
    record = readers[0].record
    evaluation = Evaluation(
        files=tuple(measured),
        clips=clips,
        num_referenced=len(readers[0].shared),
        head=record.name,
        units=record.units,
        fingerprint=record.fingerprint,
        convention=convention,
        seed=seed,
        inputs=hashes,
        reference=reference_path if readers[0].shared else None,
        m2s=judges.m2s_path,
        recogniser=judges.recogniser_path,
        vocoder=judges.vocoder_path,
        lip_reader=judges.lip_reader_path,
    )
    provenance = _write(evaluation, output, csv_path, latex_path, same_judge=same_judge, force=force)
    if report_path is not None:
        write_page(report_path, evaluation_page(evaluation, provenance, progress), force=force)
    return evaluation


def _catalogue(convention: str) -> tuple[Metric, ...]:
    if convention not in CONVENTIONS:
        raise ThunderError(f"convention {convention!r} is not known; wanted {' or '.join(CONVENTIONS)}")
    return CONVENTIONS[convention]


def _refuse_idle(given: Mapping[str, tuple[object, set[Need]]], optional: Collection[str], needed: set[Need]) -> None:
    """Refuses options that are there for metrics which nobody asks for; `given` has their values and what needs them."""
    for name, (value, needs) in given.items():
        if value and name not in optional and not needs & needed:
            raise ThunderError(
                f"--{name}: none of the metrics looks at it; leave it out, or ask for others by --metrics"
            )


def _label(paths: Sequence[Path]) -> list[str]:
    """A short name for each file, no two alike: its stem, with its folder's where stems are alike."""
    if not paths:
        raise ThunderError("no samples to measure; give samples.h5, made with `thunder sample`")
    twice = next((path for k, path in enumerate(paths) if path.resolve() in [p.resolve() for p in paths[:k]]), None)
    if twice is not None:
        raise ThunderError(f"{twice}: given twice; give each samples file once")
    labels = [path.stem for path in paths]
    if len(set(labels)) < len(labels):
        labels = [f"{path.resolve().parent.name}-{path.stem}" for path in paths]
    return [label if labels.count(label) == 1 else f"{k + 1}-{label}" for k, label in enumerate(labels)]


def _compare_all(readers: Sequence[ClipReader], reference: ClipFile) -> None:
    """Gives every reader the truth, or none."""
    shared = [reader.shared_with(reference) for reader in readers]
    for reader, clip_ids in zip(readers, shared, strict=True):
        reader.compare_with(reference, clip_ids)


def _lip_judge(file: ClipFile, judges: Judges, reader: LipReader) -> LipJudge:
    """A lip reader with the pictures of this head that it looks at."""
    return LipJudge(reader, partial(film_face, mouth_scene(file.head, judges.device)), pronounce)


def _summarise_file(
    metrics: Sequence[Metric],
    skipped: dict[str, str],
    table: ClipTable,
    reader: ClipReader,
    seed: int,
    label: str,
    path: Path,
) -> Measured:
    rows: list[MetricRow] = []
    left_out: dict[str, list[str]] = {}
    for metric in metrics:
        if metric.name in skipped or metric.name not in table.values:
            continue
        row, clips_left_out = summarise(metric, table, reader.record, seed)
        rows.append(row)
        if clips_left_out:
            left_out[metric.name] = clips_left_out
    lips = any("lipreader" in metric.needs for metric in metrics)
    return Measured(
        label=label,
        path=path,
        sha256=sha256_of_file(path),
        rows=tuple(rows),
        num_takes=table.num_takes,
        left_out=left_out,
        unread=(reader.judges.unread | ({NO_MOUTH: table.unseen} if table.unseen else {})) if lips else {},
        skipped=skipped,
    )


def _against(first: Measured, other: Measured, seed: int) -> Measured:
    """A file with its paired differences from the first, in every metric that both have."""
    theirs = {row.name: row for row in first.rows}
    pairs = ((row, theirs[row.name]) for row in other.rows if row.name in theirs)
    found = (difference_of(row, their, seed) for row, their in pairs)
    return replace(other, differences=tuple(row for row in found if row is not None))


def _hash_samples(measured: Sequence[Measured]) -> dict[str, str]:
    if len(measured) == 1:
        return {"samples": measured[0].sha256}
    return {f"samples_{one.label}": one.sha256 for one in measured}


def _write(
    evaluation: Evaluation,
    output: Path,
    csv_path: Path | None,
    latex_path: Path | None,
    *,
    same_judge: bool,
    force: bool,
) -> Provenance:
    files = evaluation.files
    config = {
        "metrics": [row.name for row in evaluation.rows],
        "left_out": files[0].left_out if len(files) == 1 else {one.label: one.left_out for one in files},
        "same_judge": same_judge,
        "convention": evaluation.convention,
    }
    provenance = Provenance(seed=evaluation.seed, config=config, inputs=evaluation.inputs)
    if len(files) == 1:
        write_metrics(output, evaluation.rows, provenance, force=force)
    else:
        write_comparison(output, files, provenance, force=force)
    if csv_path is not None:
        write_metrics_csv(csv_path, evaluation)
    if latex_path is not None:
        write_metrics_latex(latex_path, evaluation)
    return provenance


def _refuse(asked: Mapping[str, Sequence[Metric]], skipped: Sequence[Mapping[str, str]]) -> None:
    """Refuses a name none of whose metrics can be computed on any file; of several, those that can be are."""
    for name, found in asked.items():
        if all(metric.name in reasons for metric in found for reasons in skipped):
            raise ThunderError(f"metric {name}: {skipped[0][found[0].name]}")


@contextmanager
def _put_up_with(optional: bool, lacks: dict[Need, str], need: Need) -> Iterator[None]:
    """Goes on without an optional input that does not belong to the samples, keeping the reason."""
    try:
        yield
    except ThunderError as error:
        if not optional:
            raise
        lacks[need] = str(error)
