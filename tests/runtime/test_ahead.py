import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stages.runtime.ahead import in_order, read_ahead


def test_results_come_in_the_order_of_the_calls_and_no_call_far_ahead() -> None:
    begun: list[int] = []
    first_may_end = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 0:
            first_may_end.wait(10)
        return number * number

    with ThreadPoolExecutor(4) as pool:
        calls = ((n,) for n in range(20))
        threading.Timer(0.05, first_may_end.set).start()
        results = in_order(pool, work, calls, ahead=3)
        assert next(results) == ((0,), 0)
        assert len(begun) <= 4
        assert list(results) == [((n,), n * n) for n in range(1, 20)]


def test_what_the_work_raises_is_raised_in_its_place() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise KeyboardInterrupt
        return number

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, ((n,) for n in range(100)), ahead=2)
        assert [next(results)[1], next(results)[1]] == [0, 1]
        with pytest.raises(KeyboardInterrupt):
            next(results)
    assert len(begun) < 10


def test_one_item_is_read_while_the_one_before_is_worked_on() -> None:
    read: list[int] = []
    third = threading.Event()

    def source() -> Iterator[int]:
        for number in range(3):
            read.append(number)
            if number == 1:
                third.set()
            yield number
        raise OSError("the disk is gone")

    items = read_ahead(source())
    assert next(items) == 0
    assert third.wait(10)  # the second is being read though nobody asked for it
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert list(read_ahead(iter(()))) == []
