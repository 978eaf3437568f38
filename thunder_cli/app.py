"""The root command, and the one place that maps errors to exit codes.

Exit 0: all that was asked is done. 1: an expected failure, said in one line on stderr. 2: usage. 130: interrupted.

A command is a function in `commands/<name>.py` that is registered below. It

- takes the shared options from `options.py` by their types, and imports its stage inside the function, so that
  `thunder --help` answers without importing torch;
- calls the stage, a plain function that raises `ThunderError` and reports through `console.progress()`;
- prints its result with `console.print_result` (stdout; `--json` for machines) and says everything else on stderr;
- calls `console.report_failures`, which exits 1, if some items of many failed.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from stages.runtime.provenance import toolkit_version
from thunder_cli.commands import (
    articulate,
    compare,
    doctor,
    evaluate,
    evaluate_lipreader,
    evaluate_m2s,
    export,
    import_,
    inspect,
    minimal_pairs,
    preprocess,
    render,
    sample,
    speak,
    synthesize,
    train_animator,
    train_diffusion,
    train_lipreader,
    train_m2s,
    train_recogniser,
    train_vocoder,
)
from thunder_cli.console import ThunderGroup, show_all_characters
from thunder_cli.help_pages import ThunderCommand

app = typer.Typer(
    name="thunder",
    cls=ThunderGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns speech into 3D talking-head animation, and checks itself by listening and lip-reading.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thunder {toolkit_version()}")
        raise typer.Exit


@app.callback()
def _options_of_all(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


COMMANDS: dict[str, Callable[..., None]] = {
    "synthesize": synthesize.synthesize,
    "articulate": articulate.articulate,
    "preprocess": preprocess.preprocess,
    "train-m2s": train_m2s.train_m2s,
    "train-vocoder": train_vocoder.train_vocoder,
    "train-recogniser": train_recogniser.train_recogniser,
    "train-lipreader": train_lipreader.train_lipreader,
    "train-diffusion": train_diffusion.train_diffusion,
    "train-animator": train_animator.train_animator,
    "import": import_.import_,
    "sample": sample.sample,
    "render": render.render,
    "export": export.export,
    "evaluate": evaluate.evaluate,
    "evaluate-m2s": evaluate_m2s.evaluate_m2s,
    "evaluate-lipreader": evaluate_lipreader.evaluate_lipreader,
    "compare": compare.compare,
    "minimal-pairs": minimal_pairs.minimal_pairs,
    "speak": speak.speak,
    "inspect": inspect.inspect,
    "doctor": doctor.doctor,
}
for name, function in COMMANDS.items():
    app.command(name, cls=ThunderCommand)(function)


def main() -> None:
    """Entry point of the `thunder` program."""
    show_all_characters()
    app()
