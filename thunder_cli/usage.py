"""Mistakes in the command line itself, each as one line that says what was wanted, found, and where to read on."""

import re
from typing import Any, cast

import typer

from stages.runtime.errors import did_you_mean

# The parser's own class of such mistakes; typer exports only this child of it.
UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])


def explain_usage(error: Any) -> str:
    """One line about a `UsageError`."""
    message = _message(error).rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "thunder"
    return f"{message}{'' if message.endswith('?') else ';'} see `{command} --help`"


def _message(error: Any) -> str:
    name = getattr(error, "option_name", None)
    if name is not None and hasattr(error, "possibilities"):
        known = [option for parameter in error.ctx.command.params for option in parameter.opts] + ["--help"]
        near = error.possibilities or known
        return f"no such option {name}{did_you_mean(name, near)}"
    if (parameter := getattr(error, "param", None)) is not None and error.message:
        # A long name says more than a short one; an argument is named as in the help.
        label = max(parameter.opts, key=len) if parameter.opts[0].startswith("-") else parameter.name
        return f"{label} {_wanted_and_found(error)}"
    if hint := getattr(error, "param_hint", None):
        return f"{hint}: {error.message}"
    text = " ".join(error.format_message().split()).removeprefix("Invalid value: ")
    return text[:1].lower() + text[1:]


def _wanted_and_found(error: Any) -> str:
    # Imported where it is needed: pydantic would slow down every `--help`.
    from pydantic import ValidationError

    if not isinstance(error.__cause__, ValidationError):
        return str(error.message)
    first = cast(dict[str, Any], error.__cause__.errors()[0])
    if is_not := re.match(r"Value error, '.*' is not one of (.*)", first["msg"]):
        known = re.findall(r"'([^']*)'", is_not[1])
        return f"wanted one of {', '.join(known)}, found {first['input']!r}{did_you_mean(str(first['input']), known)}"
    from stages.runtime.config import wanted_and_found

    return wanted_and_found(first)
