"""Frames sent at their time by a thread, while the next ones are computed."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

F = TypeVar("F")

# Frames wait this long at first, so that one that takes a little longer to compute than another is still in time.
CUSHION_S = 0.05


class Pacer(Generic[F]):
    """Calls `send` with each frame, 1 / fps apart; a frame that comes late is sent at once, and does not delay the others.

    Leaving the block waits until all are sent; leaving it by an error drops those that wait.

    Attributes:
        latest_s: how late the latest frame was.
    """

    def __init__(self, send: Callable[[F], None], fps: float) -> None:
        self.latest_s = 0.0
        self._send, self._fps = send, fps
        self._frames: queue.Queue[F | None] = queue.Queue()
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        # A daemon: nothing that is sent may keep an interrupted program from ending.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Pacer[F]":
        self._thread.start()
        return self

    def put(self, frame: F) -> None:
        """Leaves the next frame to be sent.

        Raises:
            BaseException: what `send` raised.
        """
        if self._failure is not None:
            raise self._failure
        self._frames.put(frame)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._frames.put(None)
        while self._thread.is_alive():
            self._thread.join(0.1)  # in short steps, so that Ctrl-C is heard
        if kind is None and self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        begun: float | None = None
        number = 0
        while (frame := self._frames.get()) is not None and not self._stopped.is_set():
            if begun is None:
                begun = time.monotonic() + CUSHION_S
            wait_s = begun + number / self._fps - time.monotonic()
            self.latest_s = max(self.latest_s, -wait_s)
            if wait_s > 0 and self._stopped.wait(wait_s):
                return
            try:
                self._send(frame)
            except BaseException as failure:
                self._failure = failure
                return
            number += 1
