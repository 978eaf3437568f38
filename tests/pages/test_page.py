"""The template: what is text stays text, numbers keep their digits, and the file is whole."""

from pathlib import Path

import pytest
from markupsafe import Markup

from stages.pages.page import Details, Facts, Figure, Page, Prose, Section, Table, interval, number, write_page
from stages.runtime.errors import ThunderError
from tests.pages.reading import check_needs_no_network, read_page

EVIL = "<script>alert('1')</script> & \"quoted\""


def test_all_that_is_text_is_escaped(tmp_path: Path) -> None:
    blocks = [
        Prose(EVIL),
        Facts({EVIL: EVIL}),
        Table((EVIL,), [(EVIL,)], EVIL),
        Figure(Markup("<svg></svg>"), EVIL, EVIL, wide=True),
        Figure(Markup("<svg></svg>"), EVIL, EVIL),
        Details(EVIL, EVIL),
    ]
    write_page(tmp_path / "a.html", Page(EVIL, EVIL, [Section(EVIL, blocks)]), force=False)
    page = read_page(tmp_path / "a.html")
    check_needs_no_network(page)
    for tag in ("title", "h1", "h2", "h3", "dt", "dd", "td", "th", "figcaption", "summary", "pre", "p", "a"):
        assert page.all(tag)[0].text == EVIL, tag
    assert [e.text for e in page.all("p") if e.attributes.get("class") == "faint"][1:] == [EVIL]


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    cells = [("a", number(1 / 3), interval(-1e-9, 2 / 3)), ("b", number(float("nan")), interval(float("nan"), 1))]
    write_page(tmp_path / "a.html", Page("t", "", [Section("s", [Table(("n", "v", "i"), cells)])]), force=False)
    page = read_page(tmp_path / "a.html")
    assert page.rows[1:] == [["a", "0.3333", "-1e-09 .. 0.6667"], ["b", "–", "–"]]
    assert page.values[1] == [1 / 3, -1e-9, 2 / 3]
    assert [e.attributes["class"] for e in page.all("td")[:3]] == ["text", "number", "number"]


def test_figures_that_are_not_wide_stand_side_by_side() -> None:
    figures = [Figure(Markup(), str(k), wide=k == 2) for k in range(5)]
    rows = Section("s", [Prose("a"), *figures]).rows()
    assert [[getattr(b, "title", "") for b in row] for row in rows] == [[""], ["0", "1"], ["2"], ["3", "4"]]


def test_a_page_that_exists_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("mine")
    with pytest.raises(ThunderError, match="exists already"):
        write_page(path, Page("t", "", []), force=False)
    assert path.read_text() == "mine"
    write_page(path, Page("t", "", []), force=True)
    assert read_page(path).all("h1")[0].text == "t"
    assert list(tmp_path.iterdir()) == [path]
