"""Ctrl-C and the signals that end a program wait for the end of a step that must not be cut in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Lets SIGINT and SIGTERM wait until the block ends; what they meant happens then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, Any]] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in caught:
        signal.signal(number, lambda received, frame: waiting.append((received, frame)))
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)
        if waiting:
            received, frame = waiting[0]
            caught[signal.Signals(received)](received, frame)
