"""`thunder sample`: N takes of animation for every speech."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import ConfigFile, Device, Force, Hubert, Json, Output, Quiet, Seed


def sample(
    inputs: Annotated[list[Path] | None, typer.Argument(help="Sound files, or folders of them.")] = None,
    *,
    n: Annotated[int | None, typer.Option("--n", "-n", help="Takes of each input.  [default: 5]")] = None,
    output: Output = Path("samples.h5"),
    model: Annotated[
        Path | None, typer.Option("--model", help="A trained model.  [default: diffusion.h5, else the embedded one]")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Also animate the clips of train, val or test.")] = None,
    dataset: Annotated[Path, typer.Option("--dataset", help="Where --split looks.")] = Path("dataset.h5"),
    m2s: Annotated[Path | None, typer.Option("--m2s", help="Mesh-to-speech model that scores every take.")] = None,
    hubert: Hubert = None,
    emotion: Annotated[str | None, typer.Option("--emotion", help="One the model knows; free if not given.")] = None,
    intensity: Annotated[float | None, typer.Option("--intensity", help="Of the emotion, 0 to 1.")] = None,
    keyframes: Annotated[
        Path | None, typer.Option("--keyframes", help="File of emotions over time: lines such as `2.5 happy 0.8`.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Whose style; free if not given.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Denoising steps a window.  [default: 8]")] = None,
    sampler: Annotated[
        str | None, typer.Option("--sampler", help="ddim or dpm-solver.  [default: ddim]", show_default=False)
    ] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="1 as trained; more follows speech harder.  [default: 2]")
    ] = None,
    audio_guidance: Annotated[
        float | None,
        typer.Option(
            "--audio-guidance", help="Leads to motion in which --m2s, else the embedded one, hears the speech."
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            "--rerank", help="m2s draws more takes and keeps those that speak best by --m2s, else the embedded one."
        ),
    ] = None,
    draws: Annotated[
        int | None, typer.Option("--draws", help="How many times as many --rerank draws.  [default: 3]")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    config: ConfigFile = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Animates speech: N takes of every sound file, folder, or clip of a dataset.

    Example: `thunder sample speech.wav --n 5`
    """
    if not inputs and split is None:
        raise typer.BadParameter("name a sound file or folder, or give --split")
    if hubert is not None and m2s is None:
        raise typer.BadParameter("needs --m2s MODEL", param_hint="--hubert")

    from stages.sample import SampleConfig, find_listener, find_model, find_sounds
    from stages.sample import sample as sample_stage

    options = {
        "takes": n,
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "audio_guidance": audio_guidance,
        "rerank": rerank,
        "draws": draws,
        "emotion": emotion,
        "intensity": intensity,
        "keyframes": keyframes,
        "subject": subject,
    }
    # A wrong path is what a user mends first, before a model is looked for.
    files = find_sounds(inputs or [])
    resolved = SampleConfig.resolve(file=config, options=options)
    if draws is not None and resolved.rerank is None:
        raise typer.BadParameter("needs --rerank m2s", param_hint="--draws")
    found_model = find_model(model)
    listener = find_listener(m2s, resolved)
    if listener is not None and listener != m2s:
        console.say(f"no --m2s: the embedded model listens, {listener.name}", quiet=quiet)
    if model is None and found_model.parent != Path():
        console.say(f"no diffusion.h5 here: using the embedded model, {found_model.name}", quiet=quiet)
    summary = sample_stage(
        files,
        output,
        resolved,
        model=found_model,
        dataset=dataset,
        split=split,
        m2s=listener,
        hubert=hubert,
        seed=seed,
        device=device,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    result = {
        "wrote": str(summary.output),
        "model": str(summary.model),
        "clips": summary.num_clips,
        "takes": summary.num_takes,
        "speech_s": round(summary.seconds_of_speech, 2),
    }
    console.print_result(result, as_json=json)
    console.report_failures(summary.failures, summary.num_clips + len(summary.failures), "inputs")
