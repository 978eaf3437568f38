"""`thunder doctor`: what this machine can do, and how to mend what it cannot."""

from typing import Annotated

import typer

from thunder_cli import console
from thunder_cli.options import Json


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    json: Json = False,
) -> None:
    """Checks what the toolkit needs of this machine and says how to mend what is missing.

    Example: `thunder doctor --fix`
    """
    from stages.doctor import examine

    checks = examine(fix=fix)
    if json:
        console.print_json(checks)
    else:
        rows = [(check.name, check.status, check.found, check.remedy) for check in checks]
        console.print_table("", ("part", "status", "found", "what to do"), rows)
    if failed := [check.name for check in checks if check.status == "fail"]:
        console.print_error(f"{', '.join(failed)}: not in order; the last column says what to do")
        raise typer.Exit(1)
