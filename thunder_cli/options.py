"""Options that several commands share, each declared once.

A command writes `output: Output = Path("dataset.h5")`: the type carries name and help, the command its default.
"""

from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[Path, typer.Option("--output", "-o", help="File or folder to write.", show_default=True)]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all randomness.", min=0, max=2**62)]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with configuration values.")]
Preset = Annotated[str | None, typer.Option("--preset", help="tiny (tests), small, or paper (for a GPU).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Hubert = Annotated[
    Path | None,
    typer.Option("--hubert", help="Folder of HuBERT, WavLM or wav2vec 2.0 that the speech units are made of."),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes to use; 0 means one a core.", min=0)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Optimiser steps.")]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", help="Its peak.")]
