"""`thunder inspect`: what an artifact holds."""

from pathlib import Path
from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Json


def inspect(
    path: Annotated[Path, typer.Argument(help="Any artifact of the toolkit.")],
    json: Json = False,
    depth: Annotated[int, typer.Option(help="How many levels of groups to list.", min=1)] = 2,
) -> None:
    """Shows what an artifact holds and where it came from.

    Example: `thunder inspect samples.h5`
    """
    from stages.inspect import describe_artifact

    description = describe_artifact(path, depth=depth)
    if json:
        console.print_json(description.as_dict())
        return
    console.print_result(description.attributes)
    rows = [(e.path, e.shape, e.dtype, e.note) for e in description.entries]
    console.print_table("", ("path", "shape", "type", "holds"), rows)
