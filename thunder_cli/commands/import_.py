"""`thunder import`: a published checkpoint as an artifact of this toolkit."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Force, Json, refuse_idle


class Published(StrEnum):
    """The models whose checkpoints are understood."""

    FACEFORMER = "faceformer"
    CODETALKER = "codetalker"
    AUTO_AVSR = "auto-avsr"


def import_(
    model: Annotated[Published, typer.Argument(help="Which model.")],
    weights: Annotated[Path, typer.Argument(help="Its published weights, a .pth file.")],
    *,
    speech_encoder: Annotated[
        Path | None,
        typer.Option("--speech-encoder", help="Folder of the wav2vec 2.0 that an animator was trained with."),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset", help="A dataset of the corpus that an animator was trained on.  [default: dataset.h5]"
        ),
    ] = None,
    autoencoder: Annotated[
        Path | None, typer.Option("--autoencoder", help="The file of codetalker's first stage, where it is another.")
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option("--vocabulary", help="The SentencePiece model of auto-avsr, unigram5000.model.")
    ] = None,
    units: Annotated[
        Path | None, typer.Option("--units", help="Its numbered pieces; unigram5000_units.txt beside it if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; animator.h5, or lipreader.h5 of auto-avsr.")
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Imports published weights; nothing in the file is run, and what the model gives is what the released code gives.

    Example: `thunder import faceformer vocaset.pth --speech-encoder wav2vec2-base-960h --dataset dataset.h5`
    """
    if model is not Published.CODETALKER:
        refuse_idle("only codetalker has an autoencoder", autoencoder=autoencoder)
    if model is Published.AUTO_AVSR:
        if vocabulary is None:
            raise typer.BadParameter("auto-avsr writes word pieces: needs their model", param_hint="--vocabulary")
        refuse_idle("auto-avsr hears with what its file holds", speech_encoder=speech_encoder)
        refuse_idle("auto-avsr animates no head; leave it out", dataset=dataset)
        _import_reader(weights, output or Path("lipreader.h5"), vocabulary, units, force=force, json=json)
        return
    refuse_idle("only auto-avsr writes word pieces", vocabulary=vocabulary, units=units)
    if speech_encoder is None:
        raise typer.BadParameter("needs the wav2vec 2.0 that it was trained with", param_hint="--speech-encoder")
    output, dataset = output or Path("animator.h5"), dataset or Path("dataset.h5")

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


def _import_reader(
    weights: Path, output: Path, vocabulary: Path, units: Path | None, *, force: bool, json: bool
) -> None:
    from stages.import_ import import_auto_avsr

    summary = import_auto_avsr(weights, output, vocabulary=vocabulary, units=units, force=force)
    result = {
        "wrote": str(summary.output),
        "parameters": summary.parameters,
        "reads": summary.streams,
        "pieces": summary.pieces,
    }
    console.print_result(result, as_json=json)
