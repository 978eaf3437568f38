"""Pictures in a terminal that can show them, by kitty's or iTerm2's protocol, else in half blocks; never in a pipe."""

import base64
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from rich.style import Style
from rich.text import Text

from thunder_cli import console

if TYPE_CHECKING:
    import numpy as np

Way = Literal["kitty", "iterm", "blocks"]

_KITTY, _ITERM = ("kitty", "ghostty"), ("iTerm.app", "WezTerm")
_CHUNK = 4096
_BARS = "▁▂▃▄▅▆▇█"


def way_to_show() -> Way | None:
    """How standard output can show a picture; None where it cannot: pipes, CI, terminals without 256 colours or UTF-8.

    Terminals are known by what they say of themselves: to ask them takes a reply that not all give.
    """
    seen = console.stdout
    if not sys.stdout.isatty() or os.environ.get("CI") or seen.no_color or os.environ.get("TERM") == "dumb":
        return None
    # A multiplexer passes on colours, but not pictures.
    if not (os.environ.get("TMUX") or os.environ.get("STY")):
        program = os.environ.get("TERM_PROGRAM", "")
        if os.environ.get("KITTY_WINDOW_ID") or program in _KITTY or os.environ.get("TERM") == "xterm-kitty":
            return "kitty"
        if program in _ITERM:
            return "iterm"
    able = seen.color_system in ("256", "truecolor") and seen.encoding.lower().startswith("utf")
    return "blocks" if able else None


def show(picture: "np.ndarray", way: Way) -> None:
    """Prints a picture (height, width, 3) of sRGB bytes, as wide as the terminal at most."""
    if way == "blocks":
        console.stdout.print(half_blocks(picture, console.stdout.width), soft_wrap=True)
        return
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png")
    sys.stdout.write((kitty if way == "kitty" else iterm)(buffer.getvalue()) + "\n")
    sys.stdout.flush()


def half_blocks(picture: "np.ndarray", columns: int) -> Text:
    """A picture in characters of two pixels, one above the other."""
    import numpy as np
    from PIL import Image

    width = min(columns, picture.shape[1])
    height = 2 * max(1, round(width * picture.shape[0] / picture.shape[1] / 2))
    rows = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)).tolist()
    text = Text()
    for k in range(0, height, 2):
        for above, below in zip(rows[k], rows[k + 1], strict=True):
            text.append("▀", Style.parse(f"rgb({','.join(map(str, above))}) on rgb({','.join(map(str, below))})"))
        text.append("\n" if k + 2 < height else "")
    return text


def kitty(png: bytes) -> str:
    """A picture in kitty's graphics protocol, in chunks of 4096 letters."""
    letters = base64.standard_b64encode(png).decode()
    chunks = [letters[k : k + _CHUNK] for k in range(0, len(letters), _CHUNK)]
    parts = []
    for k, chunk in enumerate(chunks):
        first = "a=T,f=100," if k == 0 else ""
        parts.append(f"\x1b_G{first}m={int(k + 1 < len(chunks))};{chunk}\x1b\\")
    return "".join(parts)


def iterm(png: bytes) -> str:
    """A picture in iTerm2's inline protocol."""
    return f"\x1b]1337;File=inline=1;size={len(png)}:{base64.standard_b64encode(png).decode()}\x07"


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """Values as a row of bars, the lowest of all the least; means of equal runs where there are more than `width`."""
    step = max(1, -(-len(values) // width))
    runs = [values[k : k + step] for k in range(0, len(values), step)]
    means = [sum(run) / len(run) for run in runs]
    low, high = min(means), max(means)
    return "".join(_BARS[min(7, int(8 * (mean - low) / ((high - low) or 1)))] for mean in means)
