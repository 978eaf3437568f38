"""Still pictures: png files, captions, and panels laid out in a grid. All pictures are uint8 sRGB arrays.

Where pictures are transparent, a fourth channel says how much of a pixel is seen.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.runtime.atomic_file import whole_or_none

PAPER = (24, 26, 30)
INK = (214, 217, 222)
# Pixels; smaller ones cannot be read.
_LEAST_LETTERS = 8
# Will never be a character.
_NO_LETTER = "\uffff"


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes a picture (height, width, 3 or 4); the file appears under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_or_none(path) as partial:
        Image.fromarray(picture).save(partial, format="png")


def caption(text: str, height: int, width: int) -> np.ndarray:
    """A strip (height, width, 3) with one centred line of small text, smaller or cut short where it does not fit.

    Words in letters that the font does not have, such as Chinese ones, are left out.
    """
    strip = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(strip)
    size = max(_LEAST_LETTERS, round(height * 0.55))
    font = ImageFont.load_default(size=size)
    text = _drawable(text, font)
    room = width - height // 2
    while draw.textlength(text, font=font) > room and size > max(_LEAST_LETTERS, round(height * 0.42)):
        size -= 1
        font = ImageFont.load_default(size=size)
    if draw.textlength(text, font=font) > room:
        while text and draw.textlength(text + "…", font=font) > room:
            text = text[:-1]
        text += "…"
    draw.text((width / 2, height / 2), text, font=font, fill=INK, anchor="mm")
    return np.asarray(strip)


def _drawable(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The words of a text for which a font has all letters; what it lacks it would draw as a box."""
    box = bytes(font.getmask(_NO_LETTER))
    lacks = {letter for letter in set(text) if not letter.isspace() and bytes(font.getmask(letter)) == box}
    return " ".join(word for word in text.split() if not lacks & set(word)) if lacks else text


def opaque(picture: np.ndarray, channels: int) -> np.ndarray:
    """A picture (..., 3), with a fourth channel that hides what is behind it where there are to be four."""
    if channels == 3:
        return picture
    return np.concatenate([picture, np.full_like(picture[..., :1], 255)], axis=-1)


def num_columns(count: int, panel_aspect: float, aspect: float = 16 / 9, longest_row: int = 6) -> int:
    """How many columns to lay panels out in: one row while they are few, else a shape near that of a screen.

    Args:
        count: panels, at least one.
        panel_aspect: width of a panel over its height.
        aspect: the shape to aim at.
        longest_row: as many panels as still stand side by side.
    """
    if count <= longest_row:
        return count
    shapes = ((columns * panel_aspect / math.ceil(count / columns), columns) for columns in range(1, count + 1))
    return min(shapes, key=lambda shape: abs(math.log(shape[0] / aspect)))[1]


def grid(panels: np.ndarray, columns: int) -> np.ndarray:
    """Lays panels out row by row; places left over are paper, or nothing where pictures are transparent.

    Args:
        panels: (..., N, height, width, 3 or 4).
        columns: how many stand side by side.

    Returns:
        (..., rows * height, columns * width, 3 or 4).
    """
    *lead, count, height, width, channels = panels.shape
    rows = math.ceil(count / columns)
    missing = rows * columns - count
    if missing:
        colour = PAPER if channels == 3 else (0, 0, 0, 0)
        paper = np.broadcast_to(np.array(colour, np.uint8), (*lead, missing, height, width, channels))
        panels = np.concatenate([panels, paper], len(lead))
    panels = panels.reshape(*lead, rows, columns, height, width, channels)
    return np.moveaxis(panels, -4, -3).reshape(*lead, rows * height, columns * width, channels)
