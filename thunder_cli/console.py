"""The terminal: results on stdout, talk and progress on stderr, and errors as one line."""

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from stages.runtime.errors import Failure, ThunderError, summarise_failures
from stages.runtime.progress import Advance, Progress, silent

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)

# A bar that vanishes at once is noise; one that comes late is a worry.
_SECONDS_BEFORE_A_BAR = 1.0


class ThunderGroup(TyperGroup):
    """The root command; turns expected errors into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the subcommand.

        Raises:
            typer.Exit: 1 after a `ThunderError`, 130 after an interrupt.
        """
        # SIGTERM (a scheduler, `timeout`) should clean up partial files as Ctrl-C does.
        if hasattr(signal, "SIGTERM"):
            signal.signal(signal.SIGTERM, _interrupt)
        try:
            return super().invoke(ctx)
        except ThunderError as error:
            print_error(str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print_error("interrupted")
            raise typer.Exit(130) from None


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def print_error(message: str) -> None:
    """Prints one line on stderr, whatever line breaks the message holds."""
    stderr.print(f"[bold red]error:[/] {_escape(' '.join(message.split()))}", soft_wrap=True)


def say(message: str, *, quiet: bool = False) -> None:
    """Prints a remark on stderr."""
    if not quiet:
        stderr.print(_escape(message), soft_wrap=True)


def print_result(result: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Prints what a command made on stdout: `name  value` lines, or JSON."""
    if as_json:
        print_json(result)
        return
    width = max(map(len, result), default=0)
    for name, value in result.items():
        stdout.print(f"{name:{width}}  {_escape(str(value))}", soft_wrap=True)


def print_training(summary: Any, *, as_json: bool) -> None:
    """Prints what a training made; `summary` is a `stages.training.loop.TrainingSummary`."""
    result = {
        "wrote": str(summary.output),
        "parameters": summary.parameters,
        "steps": summary.steps,
        "minutes": round(summary.seconds / 60, 2),
    }
    print_result(result | {name: round(value, 4) for name, value in summary.figures.items()}, as_json=as_json)


def print_json(value: Any) -> None:
    """Prints JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str | None = None
) -> None:
    """Prints a table on stdout; columns of numbers are aligned to the right."""
    table = Table(title=title or None, caption=caption, title_justify="left", caption_justify="left", box=None)
    for i, column in enumerate(columns):
        table.add_column(
            column, justify="right" if all(_is_number(row[i]) for row in rows) else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(_escape, row))
    stdout.print(table)


def report_failures(failures: Sequence[Failure], total: int, what: str) -> None:
    """Lists what failed of many.

    Raises:
        typer.Exit: 1, if anything did.
    """
    if failures:
        print_error(summarise_failures(failures, total, what))
        raise typer.Exit(1)


def progress(*, quiet: bool = False) -> Progress:
    """The progress that a stage should report to: a bar on a terminal, nothing in a pipe or with --quiet."""
    return silent if quiet or not stderr.is_terminal else _bar


@contextmanager
def _bar(title: str, total: float | None = None) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[values]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = RichProgress(*columns, console=stderr, transient=True)
    task = bar.add_task(title, total=total, values="")
    began = time.monotonic()

    def advance(amount: float = 1, /, **values: float | str) -> None:
        if not bar.live.is_started and time.monotonic() - began > _SECONDS_BEFORE_A_BAR:
            bar.start()
        shown = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
        if shown:
            bar.update(task, values=shown)
        bar.advance(task, amount)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def _is_number(text: str) -> bool:
    return text == "" or all(character in "+-.%±[]()e,0123456789 nan" for character in text)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
