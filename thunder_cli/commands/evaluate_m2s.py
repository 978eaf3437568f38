"""`thunder evaluate-m2s`: how good mesh-to-speech models are, over seeds, against floors and ceilings."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Device, Force, Hubert, Json, Output, Quiet, Seed


def evaluate_m2s(
    dataset: Annotated[Path, typer.Argument(help="Dataset; its test split is heard, its training split makes floors.")],
    models: Annotated[list[Path], typer.Argument(help="Models of one or more inputs, of one or more seeds each.")],
    *,
    vocoder: Annotated[
        Path | None, typer.Option(help="Vocoder of one of the models; rows of its own.  \\[default: Griffin-Lim alone]")
    ] = None,
    recogniser: Annotated[
        Path | None, typer.Option(help="Recogniser that reads what is heard.  \\[default: no CER]")
    ] = None,
    hubert: Hubert = None,
    sounds: Annotated[int, typer.Option(help="Test clips that are made audible, for STOI and ESTOI.", min=1)] = 60,
    confusions: Annotated[Path | None, typer.Option(help="Picture of the phones that are confused.")] = None,
    spectrograms: Annotated[int, typer.Option(help="Test clips in a picture of spectrograms.", min=0)] = 0,
    output: Output = Path("m2s.json"),
    force: Force = False,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measures mesh-to-speech models on people they never heard: means over seeds, with 95 % intervals over clips.

    Beside them: the mean mel, a ridge regression, the first model of each input shown another clip's motion or not told the
    voice, and the true speech. The picture of spectrograms is written beside the output: m2s.json, m2s_spectrograms.png.

    Example: `thunder evaluate-m2s dataset.h5 mouth2s-0.h5 mouth2s-1.h5 exp2s-0.h5 -o m2s.json`
    """
    from stages import evaluate_m2s as stage

    pictured = output.with_name(f"{output.stem}_spectrograms.png") if spectrograms else None
    found = stage.evaluate_m2s(
        dataset,
        models,
        output,
        vocoder_path=vocoder,
        recogniser_path=recogniser,
        hubert=hubert,
        num_sounds=sounds,
        confusions_path=confusions,
        spectrograms_path=pictured,
        num_spectrograms=spectrograms,
        force=force,
        seed=seed,
        device=device,
        progress=console.progress(quiet=quiet),
    )
    if json:
        console.print_json(found)
        return
    console.print_results(found, [path for path in (output, confusions, pictured) if path is not None])
