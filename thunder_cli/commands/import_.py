"""`thunder import`: a published checkpoint as an artifact of this toolkit."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Force, Json, Output


class Published(StrEnum):
    """The models whose checkpoints are understood."""

    FACEFORMER = "faceformer"
    CODETALKER = "codetalker"


def import_(
    model: Annotated[Published, typer.Argument(help="Which model.")],
    weights: Annotated[Path, typer.Argument(help="Its published weights, a .pth file.")],
    *,
    speech_encoder: Annotated[
        Path, typer.Option("--speech-encoder", help="Folder of the wav2vec 2.0 that it was trained with.")
    ],
    dataset: Annotated[Path, typer.Option("--dataset", help="A dataset of the corpus that it was trained on.")] = Path(
        "dataset.h5"
    ),
    autoencoder: Annotated[
        Path | None, typer.Option("--autoencoder", help="The file of codetalker's first stage, where it is another.")
    ] = None,
    output: Output = Path("animator.h5"),
    force: Force = False,
    json: Json = False,
) -> None:
    """Imports published weights; nothing in the file is run, and the animation is that of the released code.

    Example: `thunder import faceformer vocaset.pth --speech-encoder wav2vec2-base-960h --dataset dataset.h5`
    """
    if autoencoder is not None and model is not Published.CODETALKER:
        raise typer.BadParameter("only codetalker has an autoencoder", param_hint="--autoencoder")

    from stages.import_ import import_codetalker, import_faceformer

    if model is Published.CODETALKER:
        summary = import_codetalker(
            weights, output, dataset=dataset, speech_encoder=speech_encoder, autoencoder=autoencoder, force=force
        )
    else:
        summary = import_faceformer(weights, output, dataset=dataset, speech_encoder=speech_encoder, force=force)
    result = {
        "wrote": str(summary.output),
        "parameters": summary.parameters,
        "vertices": summary.vertices,
        "features": summary.features,
        "fps": summary.fps,
        "subjects": ", ".join(summary.subjects),
    }
    console.print_result(result, as_json=json)
