"""`thunder render`: films and contact sheets of takes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Device, Force, Json, Quiet
from thunder_cli.take_numbers import take_numbers


class Format(StrEnum):
    """What `render` writes."""

    mp4 = "mp4"
    webm = "webm"
    mov = "mov"
    gif = "gif"
    png = "png"
    frames = "frames"
    html = "html"


class Backend(StrEnum):
    """Who finds which face a pixel sees."""

    torch = "torch"
    pytorch3d = "pytorch3d"


def render(
    path: Annotated[Path, typer.Argument(help="samples.h5, or a dataset.h5 to film what was recorded.")] = Path(
        "samples.h5"
    ),
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, takes.mp4 if not given; with several clips, takes.CLIP.mp4 for each, but one page for all.",
        ),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="mp4; webm; mov, for editing; gif, silent; png for a contact sheet; frames for a folder of png; html for a "
            "page with live heads and sound; else as the output's name ends.",
        ),
    ] = None,
    clip: Annotated[
        list[str] | None, typer.Option("--clip", help="Clip to show; repeatable. All, if not given.")
    ] = None,
    takes: Annotated[str, typer.Option("--takes", help="Takes to show, such as 0,2 or 0-3. All, if not given.")] = "",
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Dataset whose recording of each clip is shown first.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", help="Height of a head's panel in pixels. If not given, 480, and 240 on sheets and gifs."
        ),
    ] = None,
    columns: Annotated[
        int | None, typer.Option("--columns", help="Frames a take on a contact sheet. If not given, 8.")
    ] = None,
    errors: Annotated[
        float | None,
        typer.Option("--errors", metavar="MM", help="Colour takes by their distance from --reference, up to this."),
    ] = None,
    transparent: Annotated[
        bool,
        typer.Option("--transparent", help="No background: webm, mov, png and frames, without captions if not asked."),
    ] = False,
    captions: Annotated[
        bool | None,
        typer.Option("--captions/--no-captions", help="Clip, take, seed, M2S loss and lip error under each head."),
    ] = None,
    backend: Annotated[
        Backend,
        typer.Option(
            "--backend",
            help="Rasteriser: ours, or PyTorch3D's where it is installed, to check ours by; far slower on a CPU.",
        ),
    ] = Backend.torch,
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Films takes side by side with sound, lays their frames out on a contact sheet, or puts them live on a page.

    Example: `thunder render samples.h5 -o takes.mp4`
    """
    chosen = _format(output, output_format)
    output = output or Path("frames" if chosen is Format.frames else f"takes.{chosen}")
    chosen_takes = take_numbers(takes)

    from stages.render import render as render_stage

    result = render_stage(
        path,
        output,
        output_format=chosen.value,
        clip_ids=clip or (),
        takes=chosen_takes,
        reference_path=reference,
        panel_height=size,
        num_stills=columns,
        transparent=transparent,
        captions=captions,
        error_scale_mm=errors,
        backend=backend.value,
        device=device,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    if json:
        console.print_json({"files": result.files, "frames": result.num_frames, "failures": result.failures})
    else:
        for file in result.files:
            console.print_result({"wrote": file})
    console.report_failures(result.failures, result.num_clips, "clips")


def _format(output: Path | None, given: Format | None) -> Format:
    if output is None:
        return given or Format.mp4
    if given is Format.frames:
        return given
    suffix = output.suffix.lower().removeprefix(".")
    if given is None:
        if suffix not in Format.__members__ or suffix == Format.frames:
            endings = [f".{name}" for name in Format if name != Format.frames]
            raise typer.BadParameter(
                f"{output}: wanted a name that ends in {', '.join(endings[:-1])} or {endings[-1]}, or --format"
            )
        return Format(suffix)
    if suffix != given:
        raise typer.BadParameter(f"{output}: --format {given} wants a name that ends in .{given}")
    return given
