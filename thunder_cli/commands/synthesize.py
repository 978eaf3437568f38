"""`thunder synthesize`: a corpus of synthetic speech with exactly timed articulation."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.completions import ENGINES, LANGUAGES, some_of
from thunder_cli.options import Force, Jobs, Json, MotionFps, Quiet, Seed


def synthesize(
    output: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("corpus"),
    hours: Annotated[float | None, typer.Option(help="How much speech, in all.  [default: 1]")] = None,
    clips: Annotated[int | None, typer.Option(help="How many clips, instead of hours.", min=1)] = None,
    subjects: Annotated[int, typer.Option(help="How many people speak.", min=1)] = 40,
    fps: MotionFps = 25.0,
    engine: Annotated[
        str,
        typer.Option(
            help="Speech engines, divided among the speakers: espeak, flite, festival, with commas.",
            autocompletion=some_of(ENGINES),
        ),
    ] = "espeak",
    languages: Annotated[
        str,
        typer.Option(
            help="Languages of the speakers: en, de, es, fr, it, zh, with commas; named twice, twice as many.",
            autocompletion=some_of(LANGUAGES),
        ),
    ] = "en",
    held_out: Annotated[
        str | None,
        typer.Option(
            help="Persons whose recorded voices are for the test split alone, with commas; '' for none.  "
            "[default: rms, if it speaks]"
        ),
    ] = None,
    sentences: Annotated[
        Path | None, typer.Option(help="Text file: everybody says every line of it once, in place of --hours.")
    ] = None,
    seed: Seed = 0,
    jobs: Jobs = 0,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Writes a corpus of synthetic speech with motion, text and phones, in the layout that `preprocess` reads as `arkit`.

    Example: `thunder synthesize corpus/ --hours 1 --subjects 40 --seed 0`
    """
    if [hours, clips, sentences].count(None) < 2:
        raise typer.BadParameter("give one of --hours, --clips and --sentences")

    from stages.synthesize import synthesize as run

    made = run(
        output,
        hours=1.0 if [hours, clips, sentences].count(None) == 3 else hours,
        num_clips=clips,
        num_subjects=subjects,
        seed=seed,
        fps=fps,
        engines=_listed(engine),
        languages=_listed(languages),
        sentences=sentences,
        held_out=None if held_out is None else _listed(held_out),
        jobs=jobs,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    summary = {
        "corpus": str(made.output_dir),
        "subjects": made.num_subjects,
        "clips": made.num_clips,
        "minutes": round(made.duration_s / 60, 2),
    }
    console.print_result(summary, as_json=json)
    console.say(f"next: thunder preprocess {made.output_dir}", quiet=quiet)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())
