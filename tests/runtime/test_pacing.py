"""Frames go out at their time; what fails or is interrupted ends at once."""

import time

import pytest

from stages.runtime.pacing import CUSHION_S, Pacer


def test_frames_are_sent_in_order_and_never_before_their_time() -> None:
    sent: list[tuple[int, float]] = []
    begun = time.monotonic()
    with Pacer(lambda number: sent.append((number, time.monotonic())), 50.0) as pacer:
        for number in range(5):
            pacer.put(number)
    assert [number for number, _ in sent] == [0, 1, 2, 3, 4]
    # Each may come later, on a busy machine by any time.
    assert all(at - begun >= CUSHION_S + number / 50.0 - 0.001 for number, at in sent)


def test_a_late_frame_is_sent_at_once_and_its_lateness_told() -> None:
    sent: list[int] = []
    with Pacer(sent.append, 100.0) as pacer:
        pacer.put(0)
        time.sleep(0.3)
        pacer.put(1)
    assert sent == [0, 1]
    assert pacer.latest_s > 0.1


def test_what_fails_while_sending_is_raised_where_frames_are_made() -> None:
    def fail(frame: int) -> None:
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"), Pacer(fail, 1000.0) as pacer:
        pacer.put(0)


def test_an_interrupt_drops_what_waits() -> None:
    sent: list[int] = []

    def interrupted() -> None:
        with Pacer(sent.append, 0.1) as pacer:
            for number in range(10):
                pacer.put(number)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 5
    assert len(sent) <= 1
