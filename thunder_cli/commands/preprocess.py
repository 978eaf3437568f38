"""`thunder preprocess`: a corpus folder becomes a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.completions import LAYOUTS, one_of
from thunder_cli.options import Force, Jobs, Json, Output, Quiet, Seed


def preprocess(
    folder: Annotated[Path, typer.Argument(help="The corpus.")],
    output: Output = Path("dataset.h5"),
    layout: Annotated[
        str | None,
        typer.Option(
            help="arkit, flame, meshes, biwi, vocaset or vocaset-processed; found by looking.",
            autocompletion=one_of(LAYOUTS),
        ),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate to write; the corpus's own, for VOCASET 30.")] = None,
    lips: Annotated[
        Path | None,
        typer.Option("--lips", "--masks", help="Lip vertices: .txt or .npy of indices, or FLAME_masks.pkl."),
    ] = None,
    flame: Annotated[
        Path | None, typer.Option(help="FLAME's own file, .pkl or .npz, for a corpus of FLAME coefficients.")
    ] = None,
    components: Annotated[
        int | None, typer.Option(help="Motion features of a corpus of meshes.  \\[default: 64]", min=1)
    ] = None,
    drop_vertices: Annotated[bool, typer.Option("--drop-vertices", help="Keep no exact vertices.")] = False,
    scale: Annotated[
        float, typer.Option(help="Factor to metres, for a folder of meshes: 0.001 for millimetres.")
    ] = 1.0,
    biwi_test: Annotated[
        str | None,
        typer.Option(
            help="BIWI's test set: A (known speakers) or B (new ones).  \\[default: A]",
            autocompletion=one_of(("A", "B")),
        ),
    ] = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Go on where sound and motion differ by 100 ms or more.")
    ] = False,
    jobs: Jobs = 0,
    seed: Seed = 0,
    force: Force = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an interrupted run left.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Reads a corpus of any known layout and writes dataset.h5.

    Example: `thunder preprocess corpus/`
    """
    from dataclasses import asdict

    from stages.preprocess import preprocess as run

    summary = run(
        folder,
        output,
        layout=layout,
        fps=fps,
        lips=lips,
        flame=flame,
        components=components,
        drop_vertices=drop_vertices,
        allow_mismatch=allow_mismatch,
        jobs=jobs,
        force=force,
        resume=resume,
        scale=scale,
        biwi_test=biwi_test,
        seed=seed,
        progress=console.progress(quiet=quiet),
    )
    for remark in (*summary.cut, *summary.remarks):
        console.say(remark, quiet=quiet)
    if json:
        console.print_json(asdict(summary) | {"num_clips": summary.num_clips})
    else:
        result = {
            "output": summary.path,
            "layout": summary.layout,
            "clips": f"{summary.num_clips} ({summary.hours:.2f} h at {' or '.join(f'{v:g}' for v in summary.fps)} fps)",
            "motion": f"{summary.num_features} features",
        }
        for split, names in summary.subjects.items():
            listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            result[split] = f"{summary.clips[split]} clips of {len(names)} subjects" + (f": {listed}" if names else "")
        if summary.explained_variance is not None:
            result["explained"] = f"{100 * summary.explained_variance:.2f} % of all squared displacement"
            unit, digits = ("mm", 3) if summary.units == "m" else ("units", 6)
            for region, (mean, largest) in summary.reconstruction_mm.items():
                result[f"{region} error"] = f"{mean:.{digits}f} {unit} mean, {largest:.{digits}f} {unit} at most"
        if summary.lag_ms is not None:
            late = f"lips {abs(summary.lag_ms):.0f} ms {'after' if summary.lag_ms > 0 else 'before'} the sound"
            result["lag"] = f"{late}, by correlation of lip opening with loudness ({summary.lag_correlation:.2f})"
        elif summary.lag_correlation is not None:
            result["lag"] = (
                f"cannot be measured: lip opening and loudness correlate by {summary.lag_correlation:.2f}, and unrelated ones "
                f"of this length may by {summary.lag_clear_from:.2f}"
            )
        speed = [f"{summary.num_frames / summary.seconds:.0f} frames/s"]
        if summary.megabytes_read:
            speed.append(f"{summary.megabytes_read / summary.seconds:.1f} MB/s of vertices read")
        if not summary.num_resumed:
            speed.append(f"{summary.megabytes / summary.seconds:.1f} MB/s written")
        result["speed"] = f"{', '.join(speed)}, in {summary.seconds:.1f} s"
        if summary.num_resumed:
            result["resumed"] = f"{summary.num_resumed} clips were finished already"
        console.print_result(result)
    console.report_failures(summary.failures, summary.num_clips + len(summary.failures), "recordings")
