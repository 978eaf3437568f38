"""A page as a reader without a browser sees it: Python's own HTML parser, which knows nothing of how the page was made."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass
class Element:
    """A tag with its attributes, and all text within."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class ReadPage(HTMLParser):
    """Everything of a page, in order.

    Attributes:
        elements: all of them.
        rows: cells of all rows of all tables, as text.
        values: numbers of the `data` elements of each row.
    """

    elements: list[Element] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag == "tr":
            self.rows.append([])
            self.values.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "data":
            self.values[-1].append(float(element.attributes["value"]))
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data
        if any(element.tag in ("td", "th") for element in self.open):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[Element]:
        """Elements of one tag."""
        return [element for element in self.elements if element.tag == tag]

    @property
    def text(self) -> str:
        """All that is shown."""
        return self.all("body")[0].text


def read_page(path: Path) -> ReadPage:
    """Reads a page and checks that its tags close."""
    page = ReadPage()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == [], [element.tag for element in page.open]
    return page


def check_needs_no_network(page: ReadPage) -> None:
    """Whatever a browser could fetch is in the page itself."""
    for element in page.elements:
        assert element.tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), element.tag
        for name, value in element.attributes.items():
            if name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
                assert value.startswith(("data:image/", "#")), value[:80]
            assert not name.startswith("on"), f"{element.tag} {name}"
            assert "url(" not in value
    style = page.all("style")[0].text
    assert "url(" not in style
    assert "@import" not in style
    assert any("default-src 'none'" in e.attributes.get("content", "") for e in page.all("meta"))
