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
    output: Output = Path("animator.h5"),
    force: Force = False,
    json: Json = False,
) -> None:
    """Imports published weights; nothing in the file is run, and the animation is that of the released code.

    Example: `thunder import faceformer vocaset.pth --speech-encoder wav2vec2-base-960h --dataset dataset.h5`
    """
    from stages.import_ import import_faceformer

    importer = {Published.FACEFORMER: import_faceformer}[model]
    summary = importer(weights, output, dataset=dataset, speech_encoder=speech_encoder, force=force)
    result = {
        "wrote": str(summary.output),
        "parameters": summary.parameters,
        "vertices": summary.vertices,
        "features": summary.features,
        "fps": summary.fps,
        "subjects": ", ".join(summary.subjects),
    }
    console.print_result(result, as_json=json)
