"""`thunder compare`: several trainings side by side, over seeds, and how far apart they are."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Force, Json, Output, Quiet, Seed


def compare(
    metrics: Annotated[list[Path], typer.Argument(help="Files of `evaluate`, each named NAME-SEED.h5.")],
    *,
    difference: Annotated[
        list[str] | None, typer.Option(help="ROW,OTHER: ROW − OTHER, paired over clips; as often as you like.")
    ] = None,
    output: Output = Path("comparison.json"),
    force: Force = False,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sets trainings side by side: means over seeds and clips, 95 % intervals over clips, deviations over seeds.

    mouth2s-0.h5 and mouth2s-1.h5 are two seeds of row mouth2s. All must be of the same clips, measured with the same models.

    Example: `thunder compare none-0.h5 none-1.h5 mouth2s-0.h5 mouth2s-1.h5 --difference mouth2s,none`
    """
    from stages import compare as stage

    pairs = [pair.split(",") for pair in difference or []]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise typer.BadParameter(f"wanted ROW,OTHER, found {','.join(pair)!r}", param_hint="--difference")
    found = stage.compare(
        metrics,
        output,
        differences=[(row, other) for row, other in pairs],
        force=force,
        seed=seed,
        progress=console.progress(quiet=quiet),
    )
    if json:
        console.print_json(found)
        return
    console.print_results(found, [output])
