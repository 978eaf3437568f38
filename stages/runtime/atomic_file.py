"""Files that appear under their name only when they are whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.runtime.errors import explained_write


@contextmanager
def whole_or_none(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to `path` when the block ends without an error, removed otherwise.

    It ends as `path` does, for writers that choose a format by the name.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with explained_write(path):
            yield partial
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
