"""Errors that a user can cause.

A message is one line that says what went wrong, where, what was wanted, what was found and what to do. The command line
prints it without a traceback and exits 1; a notebook sees an ordinary exception.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path


class ThunderError(Exception):
    """An expected failure, explained in one line."""


@dataclass(frozen=True)
class Failure:
    """One item of many (a clip, a file) that could not be done, while the others were."""

    item: str
    reason: str


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known: "; did you mean lve?", or nothing where none is near."""
    folded = {name.casefold(): name for name in known}
    if found in folded.values():
        return ""
    near = get_close_matches(found.casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def summarise_failures(failures: Sequence[Failure], total: int, what: str) -> str:
    """One line for a run in which some of many items failed."""
    listed = "; ".join(f"{f.item}: {f.reason}" for f in failures[:5])
    more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
    return f"{len(failures)} of {total} {what} failed: {listed}{more}"


@contextmanager
def explained_write(path: Path) -> Iterator[None]:
    """Turns the operating system's refusal to write `path` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            what = "larger than files may be here" if error.errno == EFBIG else "the disk is full"
            raise ThunderError(
                f"{path}: {what}; nothing was left behind, free some space or choose another --output"
            ) from error
        # What cannot be opened may as well be an input that is read while the output is being written.
        is_output = error.filename is None or Path(str(error.filename)).parent.resolve() == path.parent.resolve()
        if isinstance(error, PermissionError) and is_output:
            raise ThunderError(f"{path}: no permission to write here; choose another --output") from error
        if isinstance(error, FileNotFoundError) and is_output:
            raise ThunderError(f"{path}: no file can be made here; choose another --output") from error
        raise
