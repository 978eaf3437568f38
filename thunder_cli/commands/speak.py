"""`thunder speak`: what a face says, as sound, and as a film beside the input."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Device, Force, Json, Output, Quiet, refuse_idle


def speak(
    path: Annotated[Path, typer.Argument(help="samples.h5, or a dataset.h5 to hear what was recorded.")] = Path(
        "samples.h5"
    ),
    *,
    m2s: Annotated[
        Path | None,
        typer.Option("--m2s", help="Mesh-to-speech model that listens.  \\[default: m2s.h5, else the embedded one]"),
    ] = None,
    vocoder: Annotated[
        Path | None,
        typer.Option(
            "--vocoder",
            help="Vocoder that makes sound of it.  \\[default: vocoder.h5 or the embedded one, if it fits, else Griffin-Lim]",
        ),
    ] = None,
    film: Annotated[
        bool,
        typer.Option(
            "--film", help="Also film each take beside both spectrograms, with the input, then its own sound."
        ),
    ] = False,
    size: Annotated[
        int | None, typer.Option("--size", help="Height of a film's panel in pixels.  \\[default: 480]")
    ] = None,
    output: Output = Path("spoken"),
    clip: Annotated[
        list[str] | None, typer.Option("--clip", help="Clip to speak; repeatable. All, if not given.")
    ] = None,
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Writes what the mesh-to-speech model hears in every take: `<clip>.<k>.wav`, and films it.

    Example: `thunder speak samples.h5 --film -o spoken/`
    """
    if not film:
        refuse_idle("needs --film", size=size)

    from stages.speak import find_m2s, find_vocoder
    from stages.speak import speak as speak_stage

    found_m2s = find_m2s(m2s)
    found_vocoder = find_vocoder(vocoder, found_m2s)
    result = speak_stage(
        path,
        found_m2s,
        output,
        vocoder=found_vocoder,
        clip_ids=clip or (),
        film=film,
        panel_height=480 if size is None else size,
        device=device,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    if m2s is None and found_m2s.parent != Path():
        console.say(f"no m2s.h5 here: the embedded model, {found_m2s.name}, listened", quiet=quiet)
    if found_vocoder is None:
        console.say(
            f"no vocoder for {found_m2s} here: the sound is Griffin-Lim's; `thunder train-vocoder --m2s {found_m2s}` makes one",
            quiet=quiet,
        )
    elif vocoder is None and found_vocoder.parent != Path():
        console.say(f"no vocoder.h5 for it here: the embedded one, {found_vocoder.name}, spoke", quiet=quiet)
    told = {"wrote": str(output), "m2s": str(found_m2s), "vocoder": str(found_vocoder or "Griffin-Lim")}
    counts = {"sounds": len(result.files)} | ({"films": len(result.films)} if film else {})
    console.print_result(told | counts, as_json=json)
