"""`thunder sample`: N takes of animation for every speech, or one of speech that is still being said."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from thunder_cli import console
from thunder_cli.completions import EMOTIONS, OWN, SAMPLERS, SPLITS, one_of
from thunder_cli.options import ConfigFile, Device, Force, Hubert, Json, Output, Quiet, Seed, refuse_idle


def sample(
    ctx: typer.Context,
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Sound files, or folders of them; - reads PCM from standard input.")
    ] = None,
    *,
    n: Annotated[int | None, typer.Option("--n", "-n", help="Takes of each input.  [default: 5]")] = None,
    output: Output = Path("samples.h5"),
    model: Annotated[
        Path | None, typer.Option("--model", help="A trained model.  [default: diffusion.h5, else the embedded one]")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Also animate the clips of train, val or test.", autocompletion=one_of(SPLITS)),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Where --split looks.  [default: dataset.h5]")
    ] = None,
    clips: Annotated[
        int | None, typer.Option("--clips", help="Of that split, always the same ones.  [default: all]", min=1)
    ] = None,
    m2s: Annotated[Path | None, typer.Option("--m2s", help="Mesh-to-speech model that scores every take.")] = None,
    hubert: Hubert = None,
    speech_encoder: Annotated[
        Path | None,
        typer.Option("--speech-encoder", help="Folder that the model hears by, if it was trained with one."),
    ] = None,
    emotion: Annotated[
        str | None,
        typer.Option(
            "--emotion",
            help="One the model knows, or own: with --split, that of each clip; free if not given.",
            autocompletion=one_of((*EMOTIONS, OWN)),
        ),
    ] = None,
    intensity: Annotated[float | None, typer.Option("--intensity", help="Of the emotion, 0 to 1.")] = None,
    keyframes: Annotated[
        Path | None, typer.Option("--keyframes", help="File of emotions over time: lines such as `2.5 happy 0.8`.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Whose style; free if not given.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Denoising steps a window.  [default: 8]")] = None,
    sampler: Annotated[
        str | None,
        typer.Option("--sampler", help="ddim or dpm-solver.  [default: ddim]", autocompletion=one_of(SAMPLERS)),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="1 as trained; more follows speech harder.  [default: 1.5]")
    ] = None,
    closure: Annotated[
        float | None,
        typer.Option(
            "--closure", help="How firmly lips meet where the model hears /p b m/; 0 leaves it to it.  [default: 1]"
        ),
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
            "--rerank",
            autocompletion=one_of(("m2s",)),
            help="m2s draws more takes and keeps those that speak best by --m2s, else the embedded one.",
        ),
    ] = None,
    draws: Annotated[
        int | None, typer.Option("--draws", help="How many times as many --rerank draws.  [default: 3]")
    ] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", help="Of the PCM that - reads, 16-bit mono, in Hz.  [default: 16000]")
    ] = None,
    live: Annotated[
        str | None, typer.Option("--live", help="HOST:PORT that gets Live Link Face packets, with -.")
    ] = None,
    look_ahead: Annotated[
        float | None, typer.Option("--look-ahead", help="Seconds of speech that - waits for.  [default: 0.4]")
    ] = None,
    hop: Annotated[int | None, typer.Option("--hop", help="Frames that - makes at a time.  [default: 10]")] = None,
    loudness: Annotated[
        float | None, typer.Option("--loudness", help="Level of the speech of -, dBFS; found out if not given.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    config: ConfigFile = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Animates speech: N takes of every sound file, folder, or clip of a dataset; one by a deterministic model.

    With - it animates 16-bit mono PCM from standard input while it comes, one take, as Live Link Face CSV on standard
    output, in a file by -o, or as packets by --live.

    Example: `thunder sample speech.wav --n 5`

    Example: `arecord -t raw -f S16_LE -r 16000 | thunder sample - --live 127.0.0.1:11111`
    """
    streamed = {
        "rate_hz": rate,
        "look_ahead_s": look_ahead,
        "hop": hop,
        "loudness_dbfs": loudness,
    }
    motion = {
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "closure": closure,
        "emotion": emotion,
        "intensity": intensity,
        "keyframes": keyframes,
        "subject": subject,
    }
    if inputs == [Path("-")]:
        refuse_idle(
            "needs the whole speech; name a file instead of -", split=split, dataset=dataset, clips=clips, m2s=m2s,
            hubert=hubert, audio_guidance=audio_guidance, rerank=rerank, draws=draws, speech_encoder=speech_encoder,
        )  # fmt: skip
        if n not in (None, 1):
            raise typer.BadParameter(f"a stream has one take, found {n}; name a file instead of -", param_hint="--n")
        chosen = output if _is_given(ctx, "output") else None
        _stream(chosen, motion | streamed, live, model, seed, device, config, force=force, quiet=quiet, json=json)
        return
    if live is not None or any(value is not None for value in streamed.values()):
        raise typer.BadParameter("--rate, --live, --look-ahead, --hop and --loudness go with - alone")
    if Path("-") in (inputs or []):
        raise typer.BadParameter("- stands alone: standard input is one speech")
    if split is None and (clips is not None or not inputs):
        raise typer.BadParameter(
            "name a sound file or folder, or give --split" if clips is None else "--clips needs --split"
        )
    if split is None:
        refuse_idle("needs --split NAME", dataset=dataset)
    if m2s is None:
        refuse_idle("needs --m2s MODEL", hubert=hubert)

    from stages.sample import SampleConfig, find_listener, find_model, find_sounds
    from stages.sample import sample as sample_stage

    options = {
        "takes": n,
        "clips": clips,
        "audio_guidance": audio_guidance,
        "rerank": rerank,
        "draws": draws,
    } | motion
    # A wrong path is what a user mends first, before a model is looked for.
    files = find_sounds(inputs or [])
    resolved = SampleConfig.resolve(file=config, options=options)
    if resolved.rerank is None:
        refuse_idle("needs --rerank m2s", draws=draws)
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
        dataset=dataset or Path("dataset.h5"),
        split=split,
        m2s=listener,
        hubert=hubert,
        speech_encoder=speech_encoder,
        seed=seed,
        device=device,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    if summary.equal_takes and summary.num_takes > 1:
        console.say(
            f"the {summary.num_takes} takes of an input are equal: {summary.model} is deterministic", quiet=quiet
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


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _stream(
    output: Path | None,
    options: dict[str, Any],
    live: str | None,
    model: Path | None,
    seed: int,
    device: str,
    config: Path | None,
    *,
    force: bool,
    quiet: bool,
    json: bool,
) -> None:
    """Animates standard input."""
    if output is not None and output.suffix.lower() != ".csv":
        raise typer.BadParameter(f"a stream is written as .csv, found {output}", param_hint="--output")
    rows_on_stdout = output is None and live is None
    if json and rows_on_stdout:
        raise typer.BadParameter("standard output has the rows; give -o FILE.csv or --live", param_hint="--json")
    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal; pipe 16-bit little-endian mono PCM into it")

    console.close_display()  # rows on a terminal are not mixed with it
    from stages.sample import find_model
    from stages.sample_stream import StreamConfig, sample_stream

    resolved = StreamConfig.resolve(file=config, options=options)
    found_model = find_model(model)
    if model is None and found_model.parent != Path():
        console.say(f"no diffusion.h5 here: using the embedded model, {found_model.name}", quiet=quiet)
    try:
        summary = sample_stream(
            sys.stdin.buffer,
            resolved,
            model=found_model,
            csv=sys.stdout if rows_on_stdout else output,
            live=live,
            seed=seed,
            device=device,
            force=force,
            say=lambda remark: console.say(remark, quiet=quiet),
        )
    except BrokenPipeError:
        # The reader has seen enough. What Python still holds for it must not fail once more at the end; the status is that
        # of a program which the system ends for this.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    result = {
        "wrote": None if output is None else str(output),
        "sent_to": live,
        "model": str(summary.model),
        "frames": summary.frames,
        "speech_s": round(summary.seconds_of_speech, 2),
        "latency_ms": round(1000 * summary.latency_s),
        "first_motion_ms": round(1000 * summary.first_motion_s),
        "late_ms": round(1000 * summary.late_s),
    }
    if rows_on_stdout:
        console.say(
            f"{summary.frames} frames of {summary.seconds_of_speech:.2f} s of speech, at most {result['latency_ms']} ms "
            f"after it, computing aside",
            quiet=quiet,
        )
    else:
        console.print_result({name: value for name, value in result.items() if value is not None}, as_json=json)
