"""How `--help` looks: options in panels where there are many, and no colour that a light or a dark terminal swallows."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

# With fewer options than these, one panel is easier to read.
_MANY = 10

# Option -> the panel that it stands in, whatever the command; what is not named here stands first, under "Options".
PANELS = {
    "Judges and guides": (
        "m2s", "lipreader", "lipreader_input", "hubert", "recogniser", "vocoder", "same_judge", "tune_expert", "forget_prior",
        "audio_guidance", "rerank", "draws",
    ),
    "Speech encoder": (
        "speech_encoder", "speech_encoder_layer", "encoder_from", "weights_from", "freeze_encoder",
    ),
    "Losses": (
        "weight_m2s", "m2s_schedule", "weight_lipreader", "weight_lips", "weight_vertices", "weight_closure", "weight_velocity",
        "weight_smoothness",
    ),
    "Training": (
        "steps", "autoencoder_steps", "autoencoder_from", "batch_size", "learning_rate", "preset", "config", "resume",
        "teacher_forcing", "regression", "max_clips", "motion_noise", "hours", "heard_share", "adversarial_from",
    ),
    "Expression": ("emotion", "intensity", "keyframes", "subject"),
    "Sampling": ("sampler", "guidance", "closure"),
    "Standard input": ("rate", "live", "look_ahead", "hop", "loudness"),
    "Look": ("size", "columns", "errors", "transparent", "captions", "backend"),
    "Corpora of meshes": ("lips", "flame", "components", "drop_vertices", "scale", "biwi_test"),
    "Files for papers and people": ("csv", "latex", "report", "confusions", "spectrograms"),
    "Running": ("seed", "device", "jobs", "force", "quiet", "json", "help"),
}  # fmt: skip
# The same words for other things.
PANELS_OF: dict[str, dict[str, str | None]] = {
    "sample": {"steps": "Sampling", "config": "Sampling"},
    "preprocess": {"resume": "Running"},
    "synthesize": {"hours": None},
    "train-m2s": {"hubert": None},
    "train-vocoder": {"m2s": None, "hubert": None},
}


class ThunderCommand(TyperCommand):
    """A subcommand, as its help shows it."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        options = [parameter for parameter in self.get_params(ctx) if parameter.param_type_name == "option"]
        tidy_options(options)
        if len(options) > _MANY:
            arrange(str(self.name), options)
        choose_colours()
        super().format_help(ctx, formatter)


def arrange(command: str, options: Sequence[Any]) -> None:
    """Puts options into panels, unless they say themselves where they belong."""
    panels: dict[str, str | None] = {name: panel for panel, names in PANELS.items() for name in names}
    panels |= PANELS_OF.get(command, {})
    for option in options:
        if getattr(option, "rich_help_panel", None) is None:
            option.rich_help_panel = panels.get(option.name)


def tidy_options(options: Sequence[Any]) -> None:
    """Leaves out what the help knows of types that readers need not: that a flag is a bool, that a range is one."""
    for option in options:
        if getattr(option, "metavar", None) is not None:
            continue
        kind = getattr(option, "type_descriptor", None)
        if getattr(option, "is_bool_flag", False):
            option.metavar = ""
        elif getattr(kind, "is_ranged", False):
            option.metavar = f"<{kind.ranged_type_name}>"  # type: ignore[union-attr]


def choose_colours() -> None:
    """Bold, magenta and red are read on white and on black; yellow, cyan and dimmed letters are not."""
    from rich.default_styles import DEFAULT_STYLES
    from rich.style import Style
    from typer import rich_utils

    for name in ("OPTION", "SWITCH", "NEGATIVE_OPTION", "NEGATIVE_SWITCH", "USAGE", "COMMANDS_TABLE_FIRST_COLUMN"):
        setattr(rich_utils, f"STYLE_{name}", "bold")
    for name in ("HELPTEXT", "OPTION_DEFAULT", "OPTION_ENVVAR", "TYPES_SEPARATOR"):
        setattr(rich_utils, f"STYLE_{name}", "")
    rich_utils.STYLE_TYPES = "magenta"
    rich_utils.STYLE_REQUIRED_LONG = "red"
    DEFAULT_STYLES["markdown.code"] = Style(bold=True, color="magenta")
