"""`thunder train-diffusion`: the diffusion animator from a dataset."""

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


def train_diffusion(
    dataset: Annotated[Path, typer.Argument(help="A dataset.")] = Path("dataset.h5"),
    *,
    output: Output = Path("diffusion.h5"),
    m2s: M2s = None,
    hubert: Hubert = None,
    lipreader: LipReader = None,
    lipreader_input: LipReaderInput = None,
    tune_expert: TuneExpert = False,
    forget_prior: ForgetPrior = False,
    speech_encoder: SpeechEncoder = None,
    speech_encoder_layer: Annotated[
        int | None, typer.Option("--speech-encoder-layer", help="Of that folder.  [default: 6]")
    ] = None,
    encoder_from: Annotated[
        Path | None, typer.Option("--encoder-from", help="A diffusion.h5 whose own speech encoder to begin with.")
    ] = None,
    weights_from: Annotated[
        Path | None, typer.Option("--weights-from", help="A diffusion.h5 to go on from, on this dataset.")
    ] = None,
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="Leave the speech encoder as it is.")
    ] = False,
    weight_m2s: WeightM2s = None,
    weight_lipreader: WeightLipReader = None,
    m2s_schedule: Annotated[
        str | None,
        typer.Option(
            "--m2s-schedule", help="Of these weights over timesteps: alpha, snr, constant or late.  [default: alpha]"
        ),
    ] = None,
    weight_lips: WeightLips = None,
    weight_vertices: Annotated[float | None, typer.Option("--weight-vertices", help="Of the face's vertices.")] = None,
    weight_closure: Annotated[
        float | None, typer.Option("--weight-closure", help="Of the gap between the lips.")
    ] = None,
    weight_velocity: Annotated[float | None, typer.Option("--weight-velocity", help="Of velocities.")] = None,
    weight_smoothness: Annotated[float | None, typer.Option("--weight-smoothness", help="Of accelerations.")] = None,
    regression: Annotated[
        bool, typer.Option("--regression", help="Train the deterministic twin: the same network without noise.")
    ] = False,
    max_clips: Annotated[
        int | None, typer.Option("--max-clips", help="Training clips to use, drawn by --seed.  [default: all]")
    ] = None,
    motion_noise: Annotated[
        float | None,
        typer.Option(
            "--motion-noise", help="Errors as of a tracker on training motion, in deviations of each feature."
        ),
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
    """Trains the diffusion animator; --m2s lets a frozen mesh-to-speech model judge what it says, --lipreader a lip reader.

    Example: `thunder train-diffusion dataset.h5 --m2s m2s.h5 --lipreader lipreader.h5`
    """
    hearing = {"hubert": hubert, "weight_m2s": weight_m2s}
    reading = {
        "weight_lipreader": weight_lipreader,
        "lipreader_input": lipreader_input,
        "tune_expert": tune_expert,
        "forget_prior": forget_prior,
    }
    check_guides(m2s=m2s, lipreader=lipreader, hearing=hearing, reading=reading)
    if m2s is None and lipreader is None:
        refuse_idle("needs --m2s MODEL or --lipreader MODEL", m2s_schedule=m2s_schedule)
    check_speech_encoder(speech_encoder, speech_encoder_layer)

    from stages.train_diffusion import TrainDiffusionConfig
    from stages.train_diffusion import train_diffusion as train_stage

    options = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "freeze_encoder": freeze_encoder or None,
        "regression": regression or None,
        "max_clips": max_clips,
        "motion_noise": motion_noise,
        "weight_m2s": weight_m2s,
        "weight_lipreader": weight_lipreader,
        "lipreader_input": lipreader_input,
        "tune_expert": tune_expert or None,
        "forget_prior": forget_prior or None,
        "m2s_schedule": m2s_schedule,
        "weight_lips": weight_lips,
        "weight_vertices": weight_vertices,
        "weight_closure": weight_closure,
        "weight_velocity": weight_velocity,
        "weight_smoothness": weight_smoothness,
    }
    resolved = TrainDiffusionConfig.resolve(preset=preset, file=config, options=options)
    check_weights(resolved, hearing=hearing | {"m2s": m2s}, reading=reading | {"lipreader": lipreader})
    if resolved.regression:
        refuse_idle("what regresses has one timestep; leave it out", m2s_schedule=m2s_schedule)
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
        weights_from=weights_from,
        seed=seed,
        device=device,
        force=force,
        resume=resume,
        progress=console.progress(quiet=quiet),
    )
    console.print_training(summary, as_json=json, quiet=quiet)
