"""`thunder articulate`: recordings of people's speech become a corpus, with faces that say what is said in them."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Force, Jobs, Json, MotionFps, Quiet, Seed


def articulate(
    recordings: Annotated[Path, typer.Argument(help="Folder of recordings: one folder a person, texts beside sounds.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("corpus"),
    language: Annotated[str, typer.Option(help="Of the texts: en, de, fr, ..., as eSpeak NG knows it.")] = "en",
    per_person: Annotated[
        int | None, typer.Option(help="Recordings of each person, the first by name.  [default: all]", min=1)
    ] = None,
    times: Annotated[
        int, typer.Option(help="How often each recording is said, in other moods and a little slower or faster.", min=1)
    ] = 1,
    fps: MotionFps = 25.0,
    seed: Seed = 0,
    jobs: Jobs = 0,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Gives recordings of people's speech faces that say it, in the layout that `preprocess` reads as `arkit`.

    A sound wants its text (`NAME.txt`, or a line of LibriSpeech's `*.trans.txt`), which PocketSphinx finds in it, or the times
    of its phones (`NAME.phones.json`).

    Example: `thunder articulate LibriSpeech/train-clean-100 corpus/ --per-person 2`
    """
    from stages.articulate import articulate as run

    made = run(
        recordings,
        output,
        language=language,
        at_most=per_person,
        times=times,
        seed=seed,
        fps=fps,
        jobs=jobs,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    summary = {
        "corpus": str(made.output_dir),
        "people": made.num_people,
        "clips": made.num_clips,
        "minutes": round(made.duration_s / 60, 2),
        "failures": [f"{failure.item}: {failure.reason}" for failure in made.failures],
    }
    if not json:
        summary.pop("failures")
    console.print_result(summary, as_json=json)
    console.say(f"next: thunder preprocess {made.output_dir}", quiet=quiet)
    console.report_failures(made.failures, made.num_recordings, "recordings")
