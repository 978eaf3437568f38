"""`thunder train-lipreader`: a reader of lips and speech from a dataset's faces, sound and transcripts."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import (
    ConfigFile,
    Device,
    Force,
    Json,
    LearningRate,
    Output,
    Preset,
    Quiet,
    Resume,
    Seed,
    Steps,
)


def train_lipreader(
    dataset: Annotated[Path, typer.Argument(help="A dataset with transcripts.")] = Path("dataset.h5"),
    *,
    output: Output = Path("lipreader.h5"),
    steps: Steps = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Clips a step.")] = None,
    learning_rate: LearningRate = None,
    preset: Preset = "small",
    config: ConfigFile = None,
    resume: Resume = False,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Trains a lip reader, which reads what a face says from pictures of its mouth, alone or beside the speech.

    Example: `thunder train-lipreader dataset.h5`
    """
    from stages.train_lipreader import TrainLipreaderConfig
    from stages.train_lipreader import train_lipreader as train_stage

    options = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    summary = train_stage(
        dataset,
        output,
        TrainLipreaderConfig.resolve(preset=preset, file=config, options=options),
        seed=seed,
        device=device,
        force=force,
        resume=resume,
        progress=console.progress(quiet=quiet),
    )
    console.print_training(summary, as_json=json, quiet=quiet)
