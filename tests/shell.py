"""`thunder` as a user runs it, inside the process of the test."""

from typer.testing import CliRunner

from thunder_cli.app import app


def run(*arguments: str, given: bytes | None = None) -> tuple[int, str, str]:
    """Exit status, standard output, and standard error in one line; `given` is standard input.

    What is no answer to a user, an exception that reaches the shell, is raised.
    """
    result = CliRunner().invoke(app, arguments, input=given, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())
