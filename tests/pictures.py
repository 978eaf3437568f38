"""`make pictures`: what the README shows of pages, photographed in a headless Chromium.

python -m tests.pictures takes.html page.png --size 1200x600 --seek 2.5
python -m tests.pictures report.html report.png --size 1000x800 --heading "Lips and phones"
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from tests.rendering.browser import browser, find_browser
from tests.rendering.test_page_in_browser import SETTLED

# What a repository can bear to keep.
LARGEST_BYTES = 400_000
TO_HEADING = "[...document.querySelectorAll('h2')].find((h) => h.textContent === %s).scrollIntoView()"


def photograph(source: Path, target: Path, width: int, height: int, seek_s: float | None, heading: str | None) -> None:
    """Writes what a window shows of a page: from its beginning, at a time of its clip, or from a heading on."""
    program = find_browser()
    if program is None:
        raise SystemExit("no Chromium here to open a page with; Debian: apt-get install chromium-headless-shell")
    with browser(program) as page:
        page.show(width, height)
        page.open(source, "document.readyState === 'complete'")
        if seek_s is not None:
            page.wait(SETTLED)
            page.ask(f"seek({seek_s})")
            page.wait(f"page.drawnFrame === frameAt({seek_s}) && {SETTLED}")
        if heading is not None:
            page.ask(TO_HEADING % json.dumps(heading))
        picture = page.picture()
        if page.complaints:
            raise SystemExit(f"{source}: the browser complains: {page.complaints}")
    Image.fromarray(picture).save(target, optimize=True)
    if (size := target.stat().st_size) > LARGEST_BYTES:
        raise SystemExit(f"{target}: {size} bytes, wanted {LARGEST_BYTES} or fewer; choose a smaller --size")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("source", type=Path, help="html")
    parser.add_argument("target", type=Path, help="png")
    parser.add_argument("--size", default="1200x600", help="of the window, in pixels")
    parser.add_argument("--seek", type=float, help="seconds into the clip, of a page of takes")
    parser.add_argument("--heading", help="what the picture begins with")
    told = parser.parse_args()
    width, height = map(int, told.size.split("x"))
    photograph(told.source, told.target, width, height, told.seek, told.heading)


if __name__ == "__main__":
    main()
