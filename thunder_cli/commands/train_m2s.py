"""`thunder train-m2s`: a mesh-to-speech model from a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.completions import M2S_INPUTS, one_of
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
    refuse_idle,
)


def train_m2s(
    dataset: Annotated[Path, typer.Argument(help="A dataset.")] = Path("dataset.h5"),
    *,
    output: Output = Path("m2s.h5"),
    what: Annotated[
        str | None,
        typer.Option(
            "--input", help="mouth2s, face2s or exp2s.  [default: mouth2s]", autocompletion=one_of(M2S_INPUTS)
        ),
    ] = None,
    hubert: Hubert = None,
    hubert_layer: Annotated[
        int | None, typer.Option("--hubert-layer", min=1, help="Of its transformer layers.  [default: 6]")
    ] = None,
    steps: Steps = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Windows a step.")] = None,
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
    """Trains a mesh-to-speech model, which hears what an animation says.

    Example: `thunder train-m2s dataset.h5 --input mouth2s`
    """
    if hubert is None:
        refuse_idle("needs --hubert FOLDER", hubert_layer=hubert_layer)

    from stages.train_m2s import TrainM2SConfig
    from stages.train_m2s import train_m2s as train_stage

    options = {"input": what, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    summary = train_stage(
        dataset,
        output,
        TrainM2SConfig.resolve(preset=preset, file=config, options=options),
        hubert=hubert,
        hubert_layer=hubert_layer,
        seed=seed,
        device=device,
        force=force,
        resume=resume,
        progress=console.progress(quiet=quiet),
    )
    console.print_training(summary, as_json=json, quiet=quiet)
