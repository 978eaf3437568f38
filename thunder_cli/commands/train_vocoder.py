"""`thunder train-vocoder`: a vocoder from a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import (
    ConfigFile,
    Device,
    Force,
    Hubert,
    Json,
    LearningRate,
    Output,
    Preset,
    Quiet,
    Resume,
    Seed,
    Steps,
)


def train_vocoder(
    dataset: Annotated[Path, typer.Argument(help="A dataset.")] = Path("dataset.h5"),
    *,
    m2s: Annotated[Path, typer.Option("--m2s", help="Mesh-to-speech model whose speech it makes sound of.")] = Path(
        "m2s.h5"
    ),
    hubert: Hubert = None,
    output: Output = Path("vocoder.h5"),
    heard_share: Annotated[
        float | None, typer.Option("--heard-share", help="Share of segments as the model hears them in the face.")
    ] = None,
    hours: Annotated[float | None, typer.Option("--hours", help="Hours of training speech to use at most.")] = None,
    adversarial_from: Annotated[
        float | None, typer.Option("--adversarial-from", help="Share of the steps after which the critics join.")
    ] = None,
    steps: Steps = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Segments a step.")] = None,
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
    """Trains a vocoder, which makes sound of what a mesh-to-speech model hears.

    Example: `thunder train-vocoder dataset.h5 --m2s m2s.h5`
    """
    from stages.train_vocoder import TrainVocoderConfig
    from stages.train_vocoder import train_vocoder as train_stage

    options = {
        "heard_share": heard_share,
        "hours": hours,
        "adversarial_from": adversarial_from,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    summary = train_stage(
        dataset,
        m2s,
        output,
        TrainVocoderConfig.resolve(preset=preset, file=config, options=options),
        hubert=hubert,
        seed=seed,
        device=device,
        force=force,
        resume=resume,
        progress=console.progress(quiet=quiet),
    )
    console.print_training(summary, as_json=json, quiet=quiet)
