"""How good samples are: every metric over all clips, with intervals, and the rows per clip behind them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stages.artifacts.clips import open_clips
from stages.artifacts.files import check_output
from stages.artifacts.metrics_file import MetricRow, write_metrics
from stages.metrics.catalogue import CATALOGUE, Metric, find_metrics
from stages.metrics.clip_reader import ClipReader
from stages.metrics.clip_table import measure, summarise
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs


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
        reader = ClipReader(samples, resolve_device(device))
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
        table = measure(chosen, reader, progress)
    impossible = table.impossible(chosen)
    if impossible:
        skipped |= impossible
        _refuse(asked, skipped)
        chosen = [metric for metric in chosen if metric.name not in impossible]
    rows: list[MetricRow] = []
    left_out: dict[str, list[str]] = {}
    for metric in chosen:
        row, clips_left_out = summarise(metric, table, reader.record, seed)
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
def _put_up_with(optional: bool, reader: "ClipReader", need: str) -> Iterator[None]:
    """Goes on without an optional input that does not belong to the samples, keeping the reason."""
    try:
        yield
    except ThunderError as error:
        if not optional:
            raise
        reader.lacks[need] = str(error)
