"""`thunder speak`: what a face says, as sound."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Device, Force, Json, Output, Quiet


def speak(
    path: Annotated[Path, typer.Argument(help="samples.h5, or a dataset.h5 to hear what was recorded.")] = Path(
        "samples.h5"
    ),
    *,
    m2s: Annotated[Path, typer.Option("--m2s", help="Mesh-to-speech model that listens.")] = Path("m2s.h5"),
    output: Output = Path("spoken"),
    clip: Annotated[
        list[str] | None, typer.Option("--clip", help="Clip to speak; repeatable. All, if not given.")
    ] = None,
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Writes what the mesh-to-speech model hears in every take: `<clip>.<k>.wav`.

    Example: `thunder speak samples.h5 --m2s m2s.h5 -o spoken/`
    """
    from stages.speak import speak as speak_stage

    result = speak_stage(
        path, m2s, output, clip_ids=clip or (), device=device, force=force, progress=console.progress(quiet=quiet)
    )
    console.print_result({"wrote": str(output), "sounds": len(result.files)}, as_json=json)
