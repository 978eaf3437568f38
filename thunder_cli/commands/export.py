"""`thunder export`: takes as files for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Force, Json, Output, Quiet
from thunder_cli.take_numbers import take_numbers


class Format(StrEnum):
    """What other programs read."""

    arkit = "arkit"
    gltf = "gltf"
    npy = "npy"
    vocaset = "vocaset"
    obj = "obj"
    ply = "ply"
    flame = "flame"
    viseme = "viseme"
    wav = "wav"
    usd = "usd"


def export(
    path: Annotated[Path, typer.Argument(help="samples.h5, or a dataset.h5 to export what was recorded.")] = Path(
        "samples.h5"
    ),
    *,
    output_format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="arkit: Live Link Face CSV; gltf: .glb with an animation a take; usd: .usdc a take; npy: vertices (T, V, 3); "
            "vocaset: (T, V*3), named as evaluation scripts want; obj, ply: a mesh a frame; flame: coefficients; "
            "viseme: JSON events; wav: the speech alone, which all the others have beside them.",
        ),
    ],
    output: Output = Path("export"),
    clip: Annotated[
        list[str] | None, typer.Option("--clip", help="Clip to export; repeatable. All, if not given.")
    ] = None,
    takes: Annotated[str, typer.Option("--takes", help="Takes to export, such as 0,2 or 0-3. All, if not given.")] = "",
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frames a second to write, such as 30 or 60; each clip's own, if not given."),
    ] = None,
    blendshapes: Annotated[
        Path | None,
        typer.Option(
            "--blendshapes",
            metavar="SET",
            help="With --format arkit, for FLAME and mesh heads: a folder of neutral.obj, jawOpen.obj, ... (or .ply), or a "
            "head file, of the head's topology; curves are fitted to it.",
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Writes takes for other programs, `<clip>.<k>` with k from 0, and their speech.

    Example: `thunder export samples.h5 --format arkit --fps 60 -o export/`
    """
    from stages.export import export as export_stage

    result = export_stage(
        path,
        output,
        output_format.value,
        clip_ids=clip or (),
        takes=take_numbers(takes),
        fps=fps,
        blendshapes=blendshapes,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    if json:
        told = {"files": result.files, "clips": result.num_clips, "takes": result.num_takes}
        if result.residuals:
            told |= {"units": result.units, "residual_rms": {str(file): rms for file, rms in result.residuals.items()}}
        console.print_json(told)
        return
    for file, rms in result.residuals.items():
        left = f"{1000 * rms:.3g} mm" if result.units == "m" else f"{rms:.3g} head units"
        console.print_result({file.name: f"fitted; {left} rms remain between its vertices and the take's"})
    clips = f"{result.num_clips} clip{'s' if result.num_clips > 1 else ''}"
    takes_of = f"{result.num_takes} take{'s' if result.num_takes > 1 else ''}"
    what = takes_of if result.num_takes else "the speech"
    console.print_result({"wrote": f"{len(result.files)} files to {output}: {what} of {clips}"})
