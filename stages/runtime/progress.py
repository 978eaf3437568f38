"""How a long stage tells how far it is, without knowing who listens.

A stage takes `progress: Progress = silent` and writes

    with progress("training", total=num_steps) as advance:
        ...
        advance(1, loss=0.12)

The command line passes a rich progress bar; a notebook or a test passes nothing.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called when `amount` more units are done; `values` are figures worth showing beside the bar."""

    def __call__(self, amount: float = 1, /, **values: float | str) -> None:
        """Moves the bar on."""


class Progress(Protocol):
    """Opens one task of `total` units (None where the length is unknown)."""

    def __call__(self, title: str, total: float | None = None) -> AbstractContextManager[Advance]:
        """Returns a context whose value moves the bar."""
        ...


@contextmanager
def silent(title: str, total: float | None = None) -> Iterator[Advance]:
    """The progress of a stage that nobody watches."""

    def advance(amount: float = 1, /, **values: float | str) -> None:
        pass

    yield advance
