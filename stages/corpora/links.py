"""Links out of a corpus are refused: a folder from elsewhere could make any file of this machine part of a dataset."""

import os
from pathlib import Path

from stages.runtime.errors import ThunderError


def check_links(folder: Path) -> None:
    """Walks a corpus without following links.

    Raises:
        ThunderError: a symbolic link points outside the folder.
    """
    root = folder.resolve()
    for place, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = Path(place, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise ThunderError(
                    f"{folder / path.relative_to(root)}: a link that leaves the corpus, to {path.resolve()}; "
                    f"copy what is meant into the corpus, or remove the link"
                )
