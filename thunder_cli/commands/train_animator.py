"""`thunder train-animator`: a deterministic animator from a dataset."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import (
    ConfigFile,
    Device,
    Force,
    ForgetPrior,
    Hubert,
    Json,
    LearningRate,
    LipReader,
    LipReaderInput,
    M2s,
    Output,
    Preset,
    Quiet,
    Resume,
    Seed,
    SpeechEncoder,
    Steps,
    TuneExpert,
    WeightLipReader,
    WeightLips,
    WeightM2s,
    check_guides,
    check_speech_encoder,
)


class Animator(StrEnum):
    """The architectures."""

    FACEFORMER = "faceformer"
    CODETALKER = "codetalker"


def train_animator(
    animator: Annotated[Animator, typer.Argument(help="Which architecture.")],
    dataset: Annotated[Path, typer.Argument(help="A dataset.")] = Path("dataset.h5"),
    *,
    output: Output = Path("animator.h5"),
    m2s: M2s = None,
    hubert: Hubert = None,
    lipreader: LipReader = None,
    lipreader_input: LipReaderInput = None,
    tune_expert: TuneExpert = False,
    forget_prior: ForgetPrior = False,
    speech_encoder: SpeechEncoder = None,
    speech_encoder_layer: Annotated[
        int | None, typer.Option("--speech-encoder-layer", help="Of that folder.  [default: the last]", min=1)
    ] = None,
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="Leave that folder's network as it is.")
    ] = False,
    teacher_forcing: Annotated[
        bool, typer.Option("--teacher-forcing", help="Feed the true frame before; quicker, and further from sampling.")
    ] = False,
    weight_m2s: WeightM2s = None,
    weight_lipreader: WeightLipReader = None,
    weight_lips: WeightLips = None,
    steps: Steps = None,
    autoencoder_steps: Annotated[
        int | None,
        typer.Option("--autoencoder-steps", help="Of codetalker's first stage, which learns codes of motion.", min=1),
    ] = None,
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
    """Trains a deterministic animator, a baseline of the papers: FaceFormer, or CodeTalker in its two stages.

    With --m2s a mesh-to-speech model judges what it says, with --lipreader a lip reader.

    Example: `thunder train-animator faceformer dataset.h5`
    """
    check_guides(m2s=m2s, hubert=hubert, lipreader=lipreader, reading=(lipreader_input, tune_expert, forget_prior))
    check_speech_encoder(speech_encoder, speech_encoder_layer)
    if autoencoder_steps is not None and animator is not Animator.CODETALKER:
        raise typer.BadParameter("only codetalker has an autoencoder", param_hint="--autoencoder-steps")

    from stages.train_animator import TrainAnimatorConfig, TrainCodeTalkerConfig
    from stages.train_animator import train_animator as train_stage

    options = {
        "steps": steps,
        "autoencoder_steps": autoencoder_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "freeze_encoder": freeze_encoder or None,
        "teacher_forcing": teacher_forcing or None,
        "weight_m2s": weight_m2s,
        "weight_lipreader": weight_lipreader,
        "weight_lips": weight_lips,
        "lipreader_input": lipreader_input,
        "tune_expert": tune_expert or None,
        "forget_prior": forget_prior or None,
    }
    coded = animator is Animator.CODETALKER
    settings: type[TrainAnimatorConfig] = TrainCodeTalkerConfig if coded else TrainAnimatorConfig
    summary = train_stage(
        dataset,
        output,
        settings.resolve(preset=preset, file=config, options=options),
        m2s=m2s,
        hubert=hubert,
        lipreader=lipreader,
        speech_encoder=speech_encoder,
        speech_encoder_layer=speech_encoder_layer,
        seed=seed,
        device=device,
        force=force,
        resume=resume,
        progress=console.progress(quiet=quiet),
    )
    console.print_training(summary, as_json=json, quiet=quiet)
