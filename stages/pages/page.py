"""A page as data, and its file: sections of text, facts, tables and figures, laid out by one template for all pages.

What comes as `str` is text and is escaped; what is markup says so by its type, `Markup`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup, escape

from stages.artifacts.files import check_output
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.provenance import toolkit_version

_TEMPLATE = "page.html"


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str
    kind: str = "prose"


@dataclass(frozen=True)
class Facts:
    """Names and values, a line each."""

    values: Mapping[str, str]
    kind: str = "facts"


@dataclass(frozen=True)
class Table:
    """A table; columns of numbers are aligned to the right.

    Attributes:
        columns: their titles.
        rows: cells, text or `number(...)`.
        caption: what stands below.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    kind: str = "table"

    def is_numeric(self, column: int) -> bool:
        """Whether every cell of a column is a number or empty."""
        return all(isinstance(row[column], Markup) or row[column] in ("", "–") for row in self.rows)


@dataclass(frozen=True)
class Figure:
    """A chart or picture.

    Attributes:
        drawing: SVG or an image.
        title: what is shown.
        caption: formula, unit, region and number of what is shown.
        wide: stands alone in its row and scrolls sideways on small screens; else figures stand side by side.
    """

    drawing: Markup
    title: str
    caption: str = ""
    wide: bool = False
    kind: str = "figure"


@dataclass(frozen=True)
class Details:
    """Long text that is folded away under a title, line breaks kept."""

    title: str
    text: str
    kind: str = "details"


Block = Prose | Facts | Table | Figure | Details


@dataclass(frozen=True)
class Section:
    """A titled part of a page."""

    title: str
    blocks: Sequence[Block]

    def rows(self) -> list[list[Block]]:
        """Blocks, with figures that stand side by side in one row."""
        rows: list[list[Block]] = []
        for block in self.blocks:
            beside = isinstance(block, Figure) and not block.wide
            last = rows[-1][-1] if rows else None
            if beside and isinstance(last, Figure) and not last.wide:
                rows[-1].append(block)
            else:
                rows.append([block])
        return rows


@dataclass(frozen=True)
class Page:
    """What `write_page` lays out."""

    title: str
    summary: str
    sections: Sequence[Section]


def number(value: float, digits: int = 4) -> Markup:
    """A number as it is read, with all its digits kept for programs in the `value` of a `data` element."""
    if not math.isfinite(value):
        return Markup("–")
    return Markup('<data value="{}">{}</data>').format(repr(float(value)), f"{value:.{digits}g}")


def interval(low: float, high: float, digits: int = 4) -> Markup:
    """`low .. high`, or a dash where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return Markup("–")
    return Markup("{} .. {}").format(number(low, digits), number(high, digits))


def write_page(path: Path, page: Page, *, force: bool) -> None:
    """Writes a page as one HTML file, whole or not at all.

    Raises:
        ThunderError: the file exists and `force` is not set, or cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    check_output(path, force=force)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = f"{datetime.now(UTC).isoformat(timespec='seconds')}, thunder {toolkit_version()}"
    text = environment.get_template(_TEMPLATE).render(page=page, made=made)
    with whole_or_none(path) as partial:
        # A name of a file may hold bytes that are no text.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def image(uri: str, description: str, width: int) -> Markup:
    """An image of a page, `width` pixels wide where there is room."""
    return Markup('<img src="{}" alt="{}" style="width:{}px">').format(Markup(uri), escape(description), width)
