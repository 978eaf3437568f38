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
    from dataclasses import asdict

    from stages.doctor import examine

    checks = examine(fix=fix)
    if json:
        console.print_json([asdict(check) for check in checks])
    else:
        rows = [(check.name, check.status, check.found, check.remedy) for check in checks]
        console.print_table("", ("part", "status", "found", "what to do"), rows)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
