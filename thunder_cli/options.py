"""Options that several commands share, each declared once.

A command writes `output: Output = Path("dataset.h5")`: the type carries name and help, the command its default.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thunder_cli.completions import DEVICES, PRESETS, one_of

if TYPE_CHECKING:
    from stages.training.guidance import GuidanceConfig


def _checked_seed(seed: int) -> int:
    """A seed that every generator takes; a range would stand in every help, with its nineteen digits."""
    if not 0 <= seed <= 2**62:
        raise typer.BadParameter(f"wanted 0 to 2^62, found {seed}")
    return seed


Output = Annotated[Path, typer.Option("--output", "-o", help="File or folder to write.", show_default=True)]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all randomness.", callback=_checked_seed)]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", autocompletion=one_of(DEVICES))
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with configuration values.")]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="tiny (tests), small, or paper (for a GPU).", autocompletion=one_of(PRESETS)),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Hubert = Annotated[
    Path | None,
    typer.Option("--hubert", help="Folder of HuBERT, WavLM or wav2vec 2.0 that the speech units are made of."),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes to use; 0 means one a core.", min=0)]
MotionFps = Annotated[float, typer.Option("--fps", help="Frames per second of the motion.", min=5, max=240)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Optimiser steps.")]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", help="Its peak.")]
M2s = Annotated[
    Path | None, typer.Option("--m2s", help="Frozen mesh-to-speech model that listens; without it, nobody does.")
]
LipReader = Annotated[
    Path | None, typer.Option("--lipreader", help="Lip reader that reads the lips, drawn; without it, nobody does.")
]
LipReaderInput = Annotated[
    str | None,
    typer.Option("--lipreader-input", help="What it reads: av (lips beside the speech) or video.  [default: av]"),
]
SpeechEncoder = Annotated[
    Path | None,
    typer.Option("--speech-encoder", help="Folder of wav2vec 2.0, HuBERT or WavLM to hear by.  [default: our own]"),
]
WeightM2s = Annotated[float | None, typer.Option("--weight-m2s", help="Of the audio-consistency loss.")]
WeightLipReader = Annotated[float | None, typer.Option("--weight-lipreader", help="Of the lip-reading loss.")]
WeightLips = Annotated[float | None, typer.Option("--weight-lips", help="Of the lip vertices.")]
TuneExpert = Annotated[
    bool,
    typer.Option("--tune-expert", help="Let the lip reader learn along; it is written beside, as <name>.lipreader.h5."),
]
ForgetPrior = Annotated[
    bool, typer.Option("--forget-prior", help="With --tune-expert: let it learn from nothing, whatever it knew before.")
]


def refuse_idle(why: str, **options: object) -> None:
    """Refuses options that would change nothing.

    Args:
        why: they would, and what to do.
        options: by name, with underscores; None or False was not given.

    Raises:
        typer.BadParameter: one that was given.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            raise typer.BadParameter(why, param_hint=f"--{name.replace('_', '-')}")


def check_guides(
    *, m2s: Path | None, lipreader: Path | None, hearing: Mapping[str, object], reading: Mapping[str, object]
) -> None:
    """Refuses options of those who hear and read where they are not there.

    Args:
        hearing: the options of a mesh-to-speech model, beside --m2s; and `reading` those of a lip reader, beside --lipreader.

    Raises:
        typer.BadParameter: such an option.
    """
    if m2s is None:
        refuse_idle("needs --m2s MODEL", **hearing)
    if lipreader is None:
        refuse_idle("needs --lipreader MODEL", **reading)


def check_weights(config: "GuidanceConfig", *, hearing: Mapping[str, object], reading: Mapping[str, object]) -> None:
    """Refuses those who hear and read, and their options, where what they find weighs nothing.

    Args:
        config: of the training, by which they weigh.
        hearing: as given, --m2s among them; and `reading`, --lipreader among them.

    Raises:
        typer.BadParameter: such an option.
    """
    for weight, options in (("weight_m2s", hearing), ("weight_lipreader", reading)):
        if getattr(config, weight) == 0:
            others = {name: value for name, value in options.items() if name != weight}
            refuse_idle(f"{weight} is 0, so that it would change nothing; give it a weight, or leave it out", **others)


def check_speech_encoder(folder: Path | None, layer: int | None) -> None:
    """Refuses a layer of no folder.

    Raises:
        typer.BadParameter: such a layer.
    """
    if folder is None:
        refuse_idle("needs --speech-encoder FOLDER", speech_encoder_layer=layer)
