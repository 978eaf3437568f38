"""`thunder evaluate`: how good samples are, as a table with intervals."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thunder_cli import console
from thunder_cli.options import Device, Force, Hubert, Json, Output, Quiet, Seed

if TYPE_CHECKING:
    from stages.artifacts.metrics_file import MetricRow
    from stages.evaluate import Evaluation

_DEFAULT_REFERENCE = Path("dataset.h5")
# In order of preference; after those in the current folder come the embedded ones.
_JUDGES, _RECOGNISERS = ("judge.h5", "m2s.h5"), ("recogniser.h5",)


def evaluate(
    samples: Annotated[Path, typer.Argument(help="Samples to measure.")] = Path("samples.h5"),
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
    same_judge: Annotated[
        bool, typer.Option("--same-judge", help="Let a model listen that had a part in them.")
    ] = False,
    metrics: Annotated[
        str | None, typer.Option(help="Names, separated by commas.  \\[default: all that the inputs allow]")
    ] = None,
    output: Output = Path("metrics.h5"),
    force: Force = False,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measures samples: how near the true motion, how lively, how diverse, how well they speak.

    Metrics: lve, mve, fdd, l-pcc, l-ccc, dtw, closure-rate, s-div, jitter, m2s. Means over takes, then over clips, with
    95 % bootstrap intervals over clips.

    Example: `thunder evaluate samples.h5 --reference dataset.h5 --metrics lve,fdd`
    """
    from stages import evaluate as stage

    # What lies in the folder by chance may not belong to the samples; what was named must.
    given = {"reference": reference, "m2s": m2s or hubert, "recogniser": recogniser}
    optional = {name for name, path in given.items() if path is None}
    reference = reference or (_DEFAULT_REFERENCE if _DEFAULT_REFERENCE.exists() else None)
    judges = [m2s] if m2s else _at_hand(_JUDGES)
    if hubert is not None and not judges:
        raise typer.BadParameter("needs --m2s MODEL", param_hint="--hubert")
    recogniser = recogniser or next(iter(_at_hand(_RECOGNISERS)), None)
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    if names == []:
        raise typer.BadParameter("wanted names separated by commas, such as lve,fdd", param_hint="--metrics")
    found = stage.evaluate(
        samples,
        output,
        reference_path=reference,
        m2s_paths=judges,
        hubert=hubert,
        recogniser_path=recogniser,
        vocoder_path=vocoder,
        same_judge=same_judge,
        optional=optional,
        metrics=names,
        force=force,
        seed=seed,
        device=device,
        progress=console.progress(quiet=quiet),
    )
    for name, clips in found.left_out.items():
        some = ", ".join(clips[:5]) + (", ..." if len(clips) > 5 else "")
        console.say(f"{name}: not finite on {len(clips)} clips, which were left out: {some}", quiet=quiet)
    for reason, skipped in _by_reason(found.skipped).items():
        console.say(f"not computed: {', '.join(skipped)}: {reason}", quiet=quiet)
    if json:
        console.print_json(_as_dict(found, samples, reference, output))
        return
    console.print_table(
        "",
        ("metric", "value", "95 % interval", "unit", "region", "clips"),
        [_cells(row) for row in found.rows],
        caption=_caption(found, samples, reference, output),
    )


def _at_hand(names: Sequence[str]) -> list[Path]:
    """The files of these names in the current folder, then the shipped file of the first name, as far as there are any."""
    from stages.runtime.assets import find_asset

    here = [Path(name) for name in names if Path(name).exists()]
    shipped = find_asset(names[0])
    return here if shipped is None else [*here, shipped]


def _cells(row: "MetricRow") -> tuple[str, ...]:
    interval = "-" if math.isnan(row.low) else f"{row.low:.4g} .. {row.high:.4g}"
    return row.name, f"{row.value:.4g}", interval, row.unit, row.region, str(len(row.clip_ids))


def _caption(found: "Evaluation", samples: Path, reference: Path | None, output: Path) -> str:
    fewest, most = found.num_takes
    takes = f"{most} take" + ("s" if most > 1 else "") if fewest == most else f"{fewest} to {most} takes"
    clips = f"{found.num_clips} clip" + ("s" if found.num_clips > 1 else "")
    parts = [f"{clips} of {samples}, {takes}" + (" each" if found.num_clips > 1 else "")]
    if found.num_referenced:
        parts.append(f"{found.num_referenced} of them against {reference}")
    if found.m2s is not None:
        parts.append(f"heard by {found.m2s}")
    if found.recogniser is not None and any(row.name.startswith("m2s-cer") for row in found.rows):
        parts.append(f"read by {found.recogniser}")
    parts.append(f"written to {output}")
    # The hash tells whether two tables looked at the same vertices.
    regions = {row.region: row.region_hash for row in found.rows if row.region}
    return "; ".join(parts) + "\nregions: " + ", ".join(f"{name} {digest}" for name, digest in regions.items())


def _by_reason(skipped: dict[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def _as_dict(found: "Evaluation", samples: Path, reference: Path | None, output: Path) -> dict[str, Any]:
    """Plain values; a figure that is not finite, such as the interval of one clip, is null."""
    return {
        "samples": samples,
        "reference": reference if found.num_referenced else None,
        "m2s": found.m2s,
        "recogniser": found.recogniser,
        "output": output,
        "num_clips": found.num_clips,
        "num_takes": list(found.num_takes),
        "metrics": {
            row.name: {
                "value": row.value,
                "low": None if math.isnan(row.low) else row.low,
                "high": None if math.isnan(row.high) else row.high,
                "unit": row.unit,
                "formula": row.formula,
                "region": row.region,
                "region_hash": row.region_hash,
                "num_clips": len(row.clip_ids),
                "per_clip": dict(zip(row.clip_ids, row.per_clip.tolist(), strict=True)),
            }
            for row in found.rows
        },
        "left_out": found.left_out,
        "skipped": found.skipped,
    }
