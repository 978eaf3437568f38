"""The terminal: results on stdout, talk and progress on stderr, and errors as one line."""

import codecs
import io
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from stages.runtime.errors import Failure, ThunderError, summarise_failures
from stages.runtime.progress import Advance, Progress, silent
from thunder_cli.help_pages import choose_colours, tidy_options
from thunder_cli.usage import UsageError, explain_usage

if TYPE_CHECKING:
    from stages.artifacts.results_file import Results
    from thunder_cli.display import Display


class _Lasting(Console):
    """Prints what stays, so not into what shows that the command works."""

    def print(self, *args: Any, **kwargs: Any) -> None:
        close_display()
        super().print(*args, **kwargs)


# Paths and transcripts may hold `:name:`, which rich would turn into an emoji.
stderr = Console(stderr=True, highlight=False, emoji=False)
stdout = _Lasting(highlight=False, emoji=False)

_WIDTH_OF_A_PIPE = 10_000

# What the toolkit itself prints and an ASCII terminal cannot show; one for one, so that tables keep their shape.
_SPELLED = {"…": "~", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "×": "x", "²": "2", "³": "3", "µ": "u", "·": "."}
_SPELLED |= dict(zip("▁▂▃▄▅▆▇█", "._-=+*%#", strict=True))

# What shows that the command works, if anything does: a terminal has room for one.
_displays: list["Display"] = []


class ThunderGroup(TyperGroup):
    """The root command; turns expected errors into one line and an exit code."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Reads the options of the root command.

        Raises:
            typer.Exit: 2 after a mistake in them.
        """
        try:
            return super().make_context(*args, **kwargs)
        except UsageError as error:
            _refuse(error)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        tidy_options([parameter for parameter in self.get_params(ctx) if parameter.param_type_name == "option"])
        choose_colours()
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Runs the subcommand.

        Raises:
            typer.Exit: 2 after a mistake in the command line, 1 after a `ThunderError`, a file that the system refuses or a
                lack of memory, 130 after an interrupt.
        """
        # A scheduler, `timeout` or a closed terminal should clean up partial files as Ctrl-C does.
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # `nohup` ignores SIGHUP
                signal.signal(number, _interrupt)
        # Until the command says how it goes on: to load torch alone may take seconds.
        progress(quiet=not {"-q", "--quiet"}.isdisjoint(sys.argv))
        try:
            return super().invoke(ctx)
        except UsageError as error:
            _refuse(error)
        except ThunderError as error:
            print_error(str(error))
            raise typer.Exit(1) from None
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough; click ends quietly
        except OSError as error:
            # A file that the system refuses is the user's to mend; an OSError without a file is a fault of ours.
            if error.filename is None:
                raise
            print_error(
                f"{os.fsdecode(error.filename)}: {error.strerror}; check the path, its folder and its permissions"
            )
            raise typer.Exit(1) from None
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            print_error("out of memory; lower --batch-size in training or --n in sampling, or give --device cpu")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print_error("interrupted")
            raise typer.Exit(130) from None
        finally:
            close_display()


def _refuse(error: Exception) -> NoReturn:
    if type(error).__name__ == "NoArgsIsHelpError":  # the help has been shown
        raise error
    print_error(explain_usage(error))
    raise typer.Exit(2) from None


def _is_out_of_memory(error: Exception) -> bool:
    # Whoever raised torch's own error has loaded torch; on a CPU torch raises a RuntimeError like any other.
    torch = sys.modules.get("torch")
    return (
        isinstance(error, MemoryError)
        or (torch is not None and isinstance(error, torch.cuda.OutOfMemoryError))
        or "DefaultCPUAllocator" in str(error)
    )


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def show_all_characters() -> None:
    """Lets stdout and stderr spell what they cannot show: no name or text is a reason to fail after the work is done."""
    codecs.register_error("spelled", _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spelled")


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    spelled = _SPELLED.get(character)
    if spelled is None:
        return codecs.backslashreplace_errors(
            UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
        )
    return spelled, error.start + 1


def print_error(message: str) -> None:
    """Prints one line on stderr, whatever line breaks the message holds."""
    close_display()
    stderr.print(f"[bold red]error:[/] {_escape(' '.join(message.split()))}", soft_wrap=True)


def say(message: str, *, quiet: bool = False) -> None:
    """Prints a remark on stderr."""
    if not quiet:
        close_display()
        stderr.print(_escape(message), soft_wrap=True)


def print_result(result: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Prints what a command made on stdout: `name  value` lines, or JSON."""
    if as_json:
        print_json(result)
        return
    width = max(map(len, result), default=0)
    for name, value in result.items():
        stdout.print(f"{name:{width}}  {_escape(str(value))}", soft_wrap=True)


def print_training(summary: Any, *, as_json: bool, quiet: bool) -> None:
    """Prints what a training made, and says what it left out; `summary` is a `stages.training.loop.TrainingSummary`."""
    for reason, clips in summary.left_out.items():
        some = ", ".join(clips[:5]) + (", ..." if len(clips) > 5 else "")
        say(f"left out {len(clips)} clips ({reason}): {some}", quiet=quiet)
    result = {
        "wrote": str(summary.output),
        "parameters": summary.parameters,
        "steps": summary.steps,
        "minutes": round(summary.seconds / 60, 2),
        "waited_for_data": f"{100 * summary.waiting_share:.1f} % of the time",
    }
    if summary.frames_per_s:
        result["frames_per_s"] = round(summary.frames_per_s)
    print_result(result | {name: round(value, 4) for name, value in summary.figures.items()}, as_json=as_json)


def print_results(results: "Results", written: Sequence[Path]) -> None:
    """Prints the rows of a results file, and what else was written."""
    columns = ("row", "metric", "mean", "95 % interval", "deviation", "unit", "better", "seeds", "clips")
    lines = []
    for row in results.rows:
        interval = "-" if math.isnan(row.low) else f"{row.low:.3f} .. {row.high:.3f}"
        deviation = "-" if math.isnan(row.deviation) else f"{row.deviation:.3f}"
        counts = str(row.seeds), str(row.clips)
        lines.append((row.row, row.metric, f"{row.mean:.3f}", interval, deviation, row.unit, row.better, *counts))
    files = ", ".join(map(str, written))
    print_table("", columns, lines, caption=f"deviation over seeds, interval over clips; written to {files}")


def print_json(value: Any) -> None:
    """Prints JSON on stdout; numbers that JSON cannot hold become null."""
    close_display()
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """What JSON can hold of a result: dataclasses as objects, arrays as lists, NaN as null, the rest as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str | None = None
) -> None:
    """Prints a table on stdout; columns of numbers are aligned to the right.

    In a pipe a row is one line, however long, so that `grep` finds what belongs together.
    """
    table = Table(title=title or None, caption=caption, title_justify="left", caption_justify="left", box=None)
    for i, column in enumerate(columns):
        table.add_column(
            column, justify="right" if all(_is_number(row[i]) for row in rows) else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(_escape, row))
    if not stdout.is_terminal:
        stdout.width = _WIDTH_OF_A_PIPE
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
    """The progress that a stage should report to: bars on a terminal, nothing in a pipe, in CI or with --quiet."""
    if quiet or not _is_watched():
        close_display()
        return silent
    _open_display()
    return _bar


def _is_watched() -> bool:
    """Whether somebody sits before stderr: no pipe, no log of a CI, no terminal that cannot take back what it has shown."""
    return stderr.is_terminal and stderr.file.isatty() and not stderr.is_dumb_terminal and not os.environ.get("CI")


def _open_display() -> "Display":
    if not _displays:
        from thunder_cli.display import Display

        _displays.append(Display(stderr))
    return _displays[0]


def close_display() -> None:
    """Takes away what shows that the command works; a stage that reports progress brings it back."""
    while _displays:
        _displays.pop().close()


@contextmanager
def _bar(title: str, total: float | None = None) -> Iterator[Advance]:
    display = _open_display()
    with display.task(title, total) as advance:
        yield advance


def _is_number(text: str) -> bool:
    return text == "" or all(character in "+-.%±[]()e,0123456789 nan" for character in text)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
