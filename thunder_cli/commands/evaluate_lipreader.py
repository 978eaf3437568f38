"""`thunder evaluate-lipreader`: how well lip readers read, with and without the speech, over seeds."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.completions import SPLITS, one_of
from thunder_cli.options import Device, Force, Json, Output, Quiet, Seed


def evaluate_lipreader(
    dataset: Annotated[Path, typer.Argument(help="A dataset.")],
    readers: Annotated[list[Path], typer.Argument(help="Lip readers of one or more seeds.")],
    *,
    split: Annotated[
        str, typer.Option("--split", help="Clips to read: train, val or test.", autocompletion=one_of(SPLITS))
    ] = "test",
    clips: Annotated[
        int | None, typer.Option(help="Read so many of them, drawn by the seed.  \\[default: all]", min=1)
    ] = None,
    output: Output = Path("lipreader.json"),
    force: Force = False,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measures lip readers on people they never saw: character error rates, with 95 % intervals over clips.

    They read lips and speech together, each alone, and, as a floor, the lips of another clip.

    Example: `thunder evaluate-lipreader dataset.h5 lipreader-0.h5 lipreader-1.h5`
    """
    from stages import evaluate_lipreader as stage

    found = stage.evaluate_lipreader(
        dataset,
        readers,
        output,
        split=split,
        num_clips=clips,
        force=force,
        seed=seed,
        device=device,
        progress=console.progress(quiet=quiet),
    )
    if json:
        console.print_json(found)
        return
    console.print_results(found, [output])
