"""Work done ahead of whoever waits for it, and never far ahead: results come in order, a bounded number at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A", bound=tuple[object, ...])
R = TypeVar("R")


def in_order(pool: Executor, work: Callable[..., R], calls: Iterable[A], ahead: int) -> Iterator[tuple[A, R]]:
    """Each call and its result, in the order of the calls.

    Args:
        pool: does the work.
        work: what it does.
        calls: the arguments of each call.
        ahead: calls that are made beyond the one whose result is waited for.

    Raises:
        BaseException: what the work raised, in its place; calls not begun are dropped then.
    """
    waiting: deque[tuple[A, Future[R]]] = deque()
    try:
        for call in calls:
            waiting.append((call, pool.submit(work, *call)))
            if len(waiting) > ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def read_ahead(source: Iterator[R]) -> Iterator[R]:
    """The items of `source`, each taken from it by a thread while the one before is worked on."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        future: Future[R | object] = pool.submit(next, source, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, source, end)
            yield item  # type: ignore[misc]
