"""`thunder inspect`: what an artifact holds."""

import math
from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console, pictures
from thunder_cli.options import Force, Json, Quiet, refuse_idle

# A face of fewer columns of half blocks is no face.
_COLUMNS_A_FACE, _MOST_FACES, _FACE_HEIGHT = 36, 4, 240


def inspect(
    path: Annotated[Path, typer.Argument(help="Any artifact of the toolkit.")],
    *,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page instead: of a dataset, samples, a model or metrics.")
    ] = None,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Show none, though the terminal could.")] = False,
    json: Json = False,
    depth: Annotated[int | None, typer.Option(help="How many levels of groups to list.  \\[default: 2]", min=1)] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Shows what an artifact holds and where it came from, with pictures where the terminal can, or as a page.

    Example: `thunder inspect dataset.h5 --report dataset.html`
    """
    from stages import inspect as stage

    if report is not None:
        refuse_idle("a page lists no groups; leave it out", depth=depth)
        refuse_idle("a page has its pictures always; leave it out", no_pictures=no_pictures)
        stage.report_artifact(path, report, force=force, progress=console.progress(quiet=quiet))
        console.print_result({"wrote": str(report)}, as_json=json)
        return
    description = stage.describe_artifact(path, depth=2 if depth is None else depth)
    if json:
        console.print_json(description.as_dict())
        return
    console.print_result(description.attributes)
    rows = [(e.path, e.shape, e.dtype, e.note) for e in description.entries]
    console.print_table("", ("path", "shape", "type", "holds"), rows)
    way = None if no_pictures or quiet else pictures.way_to_show()
    if way is not None:
        _show_heads(path, way)
        _show_curves(path)


def _show_heads(path: Path, way: pictures.Way) -> None:
    from stages.inspect import portraits_of_artifact

    count = max(1, min(_MOST_FACES, console.stdout.width // _COLUMNS_A_FACE))
    found = portraits_of_artifact(path, count=count, height=_FACE_HEIGHT)
    if found:
        import numpy as np

        pictures.show(np.concatenate([portrait.picture for portrait in found], axis=1), way)
        console.stdout.print("   ".join(portrait.label for portrait in found), markup=False)


def _show_curves(path: Path) -> None:
    from stages.inspect import curves_of_artifact

    curves = curves_of_artifact(path)
    width = max(map(len, curves), default=0)
    for name, values in curves.items():
        finite = [float(value) for value in values[:, 1] if math.isfinite(value)]
        if finite:
            line = f"{name:{width}}  {pictures.sparkline(finite)}  {finite[0]:.4g} → {finite[-1]:.4g}"
            console.stdout.print(line, markup=False)
