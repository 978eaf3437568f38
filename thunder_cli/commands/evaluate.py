"""`thunder evaluate`: how good samples are, as a table with intervals."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thunder_cli import console
from thunder_cli.completions import METRICS, some_of
from thunder_cli.options import Device, Force, Hubert, Json, Output, Quiet, Seed

if TYPE_CHECKING:
    from stages.artifacts.metrics_file import Evaluation, Measured, MetricRow

_DEFAULT_SAMPLES = Path("samples.h5")
_DEFAULT_REFERENCE = Path("dataset.h5")
# In order of preference; after those in the current folder come the embedded ones.
_JUDGES, _RECOGNISERS, _LIP_READERS = ("judge.h5", "m2s.h5"), ("recogniser.h5",), ("lipreader.h5",)

_COLUMNS: tuple[str, ...] = ("metric", "value", "95 % interval", "unit", "better", "region", "clips")


def evaluate(
    samples: Annotated[
        list[Path] | None,
        typer.Argument(help="Samples to measure; several are compared with the first.  \\[default: samples.h5]"),
    ] = None,
    *,
    reference: Annotated[
        Path | None, typer.Option(help="Dataset with the true motion.  \\[default: dataset.h5, if it is there]")
    ] = None,
    m2s: Annotated[
        Path | None,
        typer.Option(help="Mesh-to-speech model that listens.  \\[default: judge.h5, m2s.h5, or the embedded one]"),
    ] = None,
    hubert: Hubert = None,
    recogniser: Annotated[
        Path | None,
        typer.Option(help="Reads what that model hears.  \\[default: recogniser.h5, or the embedded one]"),
    ] = None,
    vocoder: Annotated[
        Path | None, typer.Option(help="Makes sound of it first.  \\[default: its spectrogram is read]")
    ] = None,
    lipreader: Annotated[
        Path | None, typer.Option(help="Reads the lips, unheard.  \\[default: lipreader.h5, or the embedded one]")
    ] = None,
    same_judge: Annotated[
        bool, typer.Option("--same-judge", help="Let a model judge that had a part in them.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Names, separated by commas.  \\[default: all that the inputs allow]", autocompletion=some_of(METRICS)
        ),
    ] = None,
    convention: Annotated[
        str,
        typer.Option(
            help="thunder, or codetalker: LVE and FDD as CodeTalker's published script has them. It keeps head pose and the "
            "head's own unit (squared, never mm²), cuts samples to the truth and never the truth."
        ),
    ] = "thunder",
    output: Output = Path("metrics.h5"),
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every figure there too, one a row.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Write a table for a paper there too.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write an HTML page there too: figures, curves, faces.")
    ] = None,
    force: Force = False,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measures samples: how near the true motion, how lively, how diverse, how well they speak, how well lips are read.

    Metrics: lve, mve, fdd, l-pcc, l-ccc, dtw, closure-rate, s-div, jitter, cer, ver, m2s, speed. Means over takes, then over
    clips, with 95 % bootstrap intervals over clips. Several samples files of the same clips stand in one table, with paired
    differences from the first.

    Example: `thunder evaluate plain.h5 guided.h5 --reference dataset.h5 --metrics lve,cer`
    """
    from stages import evaluate as stage
    from stages.runtime.assets import files_at_hand

    # What lies in the folder by chance may not belong to the samples; what was named must.
    given = {"reference": reference, "m2s": m2s or hubert, "recogniser": recogniser, "lipreader": lipreader}
    optional = {name for name, path in given.items() if path is None}
    reference = reference or (_DEFAULT_REFERENCE if _DEFAULT_REFERENCE.exists() else None)
    judges = [m2s] if m2s else files_at_hand(*_JUDGES)
    if hubert is not None and not judges:
        raise typer.BadParameter("needs --m2s MODEL", param_hint="--hubert")
    recogniser = recogniser or next(iter(files_at_hand(*_RECOGNISERS)), None)
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    if names == []:
        raise typer.BadParameter("wanted names separated by commas, such as lve,fdd", param_hint="--metrics")
    if convention not in stage.CONVENTIONS:
        raise typer.BadParameter(f"wanted {' or '.join(stage.CONVENTIONS)}", param_hint="--convention")
    found = stage.evaluate(
        samples or [_DEFAULT_SAMPLES],
        output,
        reference_path=reference,
        m2s_paths=judges,
        hubert=hubert,
        recogniser_path=recogniser,
        vocoder_path=vocoder,
        lip_reader_paths=[lipreader] if lipreader else files_at_hand(*_LIP_READERS),
        same_judge=same_judge,
        optional=optional,
        metrics=names,
        convention=convention,
        csv_path=csv,
        latex_path=latex,
        report_path=report,
        force=force,
        seed=seed,
        device=device,
        progress=console.progress(quiet=quiet),
    )
    for measured in found.files:
        _say_what_is_missing(measured, quiet=quiet, several=len(found.files) > 1)
    written = [path for path in (output, csv, latex, report) if path is not None]
    if json:
        console.print_json(_as_dict(found, output))
        return
    if len(found.files) == 1:
        columns, rows = _COLUMNS, [_cells(row) for row in found.rows]
    else:
        columns, rows = _columns_of_several(found), _rows_of_several(found)
    console.print_table("", columns, rows, caption=_caption(found, written))


def _say_what_is_missing(measured: "Measured", *, quiet: bool, several: bool) -> None:
    where = f"{measured.path}: " if several else ""
    for name, clips in measured.left_out.items():
        console.say(
            f"{where}{name}: not finite on {len(clips)} clips, which were left out: {_some(clips)}", quiet=quiet
        )
    for reason, clips in measured.unread.items():
        console.say(f"{where}lips not read on {len(clips)} clips: {reason}: {_some(clips)}", quiet=quiet)
    for reason, skipped in _by_reason(measured.skipped).items():
        console.say(f"{where}not computed: {', '.join(skipped)}: {reason}", quiet=quiet)


def _some(clips: Sequence[str]) -> str:
    return ", ".join(clips[:5]) + (", ..." if len(clips) > 5 else "")


def _cells(row: "MetricRow") -> tuple[str, ...]:
    return row.name, f"{row.value:.4g}", _interval(row), row.unit, row.better, row.region, str(len(row.clip_ids))


def _interval(row: "MetricRow") -> str:
    return "-" if math.isnan(row.low) else f"{row.low:.4g} .. {row.high:.4g}"


def _columns_of_several(found: "Evaluation") -> tuple[str, ...]:
    metric, value, interval, *rest = _COLUMNS
    return metric, "samples", value, interval, f"− {found.files[0].label}", f"its {interval}", *rest


def _rows_of_several(found: "Evaluation") -> list[tuple[str, ...]]:
    """Metric by metric, a line for each file that has it."""
    names = dict.fromkeys(row.name for measured in found.files for row in measured.rows)
    lines = []
    for name in names:
        for measured in found.files:
            row = next((row for row in measured.rows if row.name == name), None)
            less = next((row for row in measured.differences if row.name == name), None)
            if row is not None:
                _, value, interval, *rest = _cells(row)
                difference = ("", "") if less is None else (f"{less.value:+.4g}", _interval(less))
                whose = "" if name.endswith(("-truth", "-speech")) else measured.label
                lines.append((name, whose, value, interval, *difference, *rest))
    return lines


def _caption(found: "Evaluation", written: Sequence[Path]) -> str:
    clips = f"{len(found.clips)} clip" + ("s" if len(found.clips) > 1 else "")
    each = " each" if len(found.clips) > 1 else ""
    parts = [f"{clips} of " + ", ".join(f"{one.path}, {_takes(*one.num_takes)}{each}" for one in found.files)]
    if found.num_referenced:
        parts.append(f"{found.num_referenced} of them against {found.reference}")
    if found.m2s is not None:
        parts.append(f"heard by {found.m2s}")
    names = {row.name for row in found.rows}
    if found.recogniser is not None and any(name.startswith("m2s-cer") for name in names):
        parts.append(f"read by {found.recogniser}")
    if found.lip_reader is not None and names & {"cer", "ver", "cer-truth", "ver-truth"}:
        parts.append(f"lips read by {found.lip_reader}")
    if found.convention != "thunder":
        parts.append(f"as {found.convention}'s published script computes them")
    parts.append(f"written to {', '.join(map(str, written))}")
    # The hash tells whether two tables looked at the same vertices.
    regions = {row.region: row.region_hash for row in found.rows if row.region}
    return "; ".join(parts) + "\nregions: " + ", ".join(f"{name} {digest}" for name, digest in regions.items())


def _takes(fewest: int, most: int) -> str:
    return f"{most} take" + ("s" if most > 1 else "") if fewest == most else f"{fewest} to {most} takes"


def _by_reason(skipped: dict[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def _as_dict(found: "Evaluation", output: Path) -> dict[str, Any]:
    """Plain values; a figure that is not finite, such as the interval of one clip, is null.

    Of one samples file its metrics stand on top; of several, a list of files, each with its differences from the first.
    """
    common = {
        "reference": found.reference,
        "m2s": found.m2s,
        "recogniser": found.recogniser,
        "lipreader": found.lip_reader,
        "convention": found.convention,
        "output": output,
        "num_clips": len(found.clips),
    }
    if len(found.files) == 1:
        return common | _file_as_dict(found.files[0])
    files = [_file_as_dict(one) | {"label": one.label, "differences": _figures(one.differences)} for one in found.files]
    return common | {"files": files}


def _file_as_dict(measured: "Measured") -> dict[str, Any]:
    return {
        "samples": measured.path,
        "num_takes": list(measured.num_takes),
        "metrics": _figures(measured.rows),
        "left_out": measured.left_out,
        "unread": measured.unread,
        "skipped": measured.skipped,
    }


def _figures(rows: Sequence["MetricRow"]) -> dict[str, Any]:
    return {
        row.name: {
            "value": row.value,
            "low": None if math.isnan(row.low) else row.low,
            "high": None if math.isnan(row.high) else row.high,
            "unit": row.unit,
            "better": row.better,
            "formula": row.formula,
            "region": row.region,
            "region_hash": row.region_hash,
            "num_clips": len(row.clip_ids),
            "per_clip": dict(zip(row.clip_ids, row.per_clip.tolist(), strict=True)),
        }
        for row in rows
    }
