"""`thunder minimal-pairs`: pairs of words that look alike, as a lip reader finds them."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Device, Force, Json, Output, Quiet


def minimal_pairs(
    dataset: Annotated[Path, typer.Argument(help="A dataset.")] = Path("dataset.h5"),
    *,
    pair: Annotated[
        list[str],
        typer.Option(help="WORD,WORD: two words of its transcripts; as often as you like.", show_default=False),
    ],
    lipreader: Annotated[
        Path | None, typer.Option(help="The lip reader.  \\[default: lipreader.h5, or the embedded one]")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Clips to look into; as often as you like.  \\[default: val, test]")
    ] = None,
    output: Output = Path("minimal_pairs.png"),
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draws words as a lip reader finds them, audio-visually and by the lips alone, and says how often it tells them apart.

    Example: `thunder minimal-pairs dataset.h5 --pair put,but --pair tom,top`
    """
    from stages import minimal_pairs as stage

    pairs = [words.split(",") for words in pair]
    for words in pairs:
        if len(words) != 2 or not all(words):
            raise typer.BadParameter(f"wanted WORD,WORD, found {','.join(words)!r}", param_hint="--pair")
    reader = stage.find_lip_reader(lipreader)
    if lipreader is None and reader.parent != Path():
        console.say(f"no lipreader.h5 here: the embedded model, {reader.name}, reads", quiet=quiet)
    found = stage.minimal_pairs(
        dataset,
        reader,
        output,
        [(first, second) for first, second in pairs],
        splits=split or ("val", "test"),
        device=device,
        force=force,
        progress=console.progress(quiet=quiet),
    )
    if json:
        console.print_json({"wrote": output, "pairs": found})
        return
    rows = [(*p.words, *map(str, p.counts), *(f"{share:.2f}" for share in p.told_apart.values())) for p in found]
    columns = ("word", "and", "found", "times", *(f"told apart, {name}" for name in stage.INPUTS))
    console.print_table("", columns, rows, caption=f"one half is chance; written to {output}")
