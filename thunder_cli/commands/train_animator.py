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
    check_weights,
    refuse_idle,
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
    encoder_from: Annotated[
        Path | None, typer.Option("--encoder-from", help="A diffusion.h5 whose own speech encoder to begin with.")
    ] = None,
    weights_from: Annotated[
        Path | None, typer.Option("--weights-from", help="A model of this architecture to go on from, on this dataset.")
    ] = None,
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="Leave the speech encoder as it is.")
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
    autoencoder_from: Annotated[
        Path | None, typer.Option("--autoencoder-from", help="A codetalker whose first stage to take as it is.")
    ] = None,
    max_clips: Annotated[
        int | None, typer.Option("--max-clips", help="Use so many training clips, drawn by the seed.")
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
    hearing = {"hubert": hubert, "weight_m2s": weight_m2s}
    reading = {
        "weight_lipreader": weight_lipreader,
        "lipreader_input": lipreader_input,
        "tune_expert": tune_expert,
        "forget_prior": forget_prior,
    }
    check_guides(m2s=m2s, lipreader=lipreader, hearing=hearing, reading=reading)
    check_speech_encoder(speech_encoder, speech_encoder_layer)
    if animator is Animator.CODETALKER:
        refuse_idle("codetalker is always fed the true frames; leave it out", teacher_forcing=teacher_forcing)
        if autoencoder_from is not None:
            refuse_idle("--autoencoder-from takes one that is trained", autoencoder_steps=autoencoder_steps)
        if weights_from is not None:
            refuse_idle(
                "--weights-from goes on from a model with its autoencoder",
                autoencoder_steps=autoencoder_steps,
                autoencoder_from=autoencoder_from,
            )
    else:
        refuse_idle(
            "only codetalker has an autoencoder", autoencoder_steps=autoencoder_steps, autoencoder_from=autoencoder_from
        )

    from stages.train_animator import TrainAnimatorConfig, TrainCodeTalkerConfig
    from stages.train_animator import train_animator as train_stage

    options = {
        "steps": steps,
        "autoencoder_steps": autoencoder_steps,
        "max_clips": max_clips,
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
    resolved = settings.resolve(preset=preset, file=config, options=options)
    check_weights(resolved, hearing=hearing | {"m2s": m2s}, reading=reading | {"lipreader": lipreader})
    summary = train_stage(
        dataset,
        output,
        resolved,
        m2s=m2s,
        hubert=hubert,
        lipreader=lipreader,
        speech_encoder=speech_encoder,
        speech_encoder_layer=speech_encoder_layer,
        encoder_from=encoder_from,
        autoencoder_from=autoencoder_from,
        weights_from=weights_from,
        seed=seed,
        device=device,
        force=force,
        resume=resume,
        progress=console.progress(quiet=quiet),
    )
    console.print_training(summary, as_json=json, quiet=quiet)
