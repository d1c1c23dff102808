"""The signals that ask the launcher to end, in its event loops."""

import math
import signal
import threading

import pytest

from borgctl.process.event_loop import EventLoop
from borgctl.pull.process.signals import Stop


def to_us(number: int) -> None:
    """Send a signal to this very thread."""
    signal.pthread_kill(threading.get_ident(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_loop_is_told_of_a_signal_also_of_one_that_came_before(number: int) -> None:
    with Stop() as stop:
        told: list[str | None] = []
        first, second = EventLoop(), EventLoop()
        stop.tell(first, lambda: told.append(stop.name))
        assert stop.name is None
        to_us(number)
        first.turn()
        first.turn(0)  # told once
        stop.tell(second, lambda: told.append(stop.name))
        second.turn()
        stop.wait(math.inf)
    assert told == [signal.Signals(number).name] * 2


def test_the_first_signal_is_the_name() -> None:
    with Stop() as stop:
        to_us(signal.SIGTERM)
        to_us(signal.SIGINT)
        assert stop.name == "SIGTERM"


def test_another_signal_asks_for_nothing() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Stop() as stop:
            loop = EventLoop()
            stop.tell(loop, pytest.fail)
            to_us(signal.SIGUSR1)
            loop.turn()
            assert stop.name is None
            to_us(signal.SIGTERM)
            stop.wait(math.inf)
    finally:
        signal.signal(signal.SIGUSR1, before)
