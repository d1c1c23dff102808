"""Signals: catch those that ask the launcher to end, also where it waits in an event loop.

with Stop() as stop: stop.tell(loop, end)       # stop.name is 'SIGTERM' once that came, else None
"""

import signal
import time
from collections.abc import Callable
from typing import Self

from borgctl.process.event_loop import EventLoop, Signals

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Catch SIGINT, SIGTERM and SIGHUP while it is entered, also where our parent blocked them.

    What was ignored before (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self._signals = Signals(*_ASKING, keep_ignored=_ASKING)

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.__exit__()

    @property
    def name(self) -> str | None:
        """Return the name of the first such signal, None before that."""
        received = self._signals.received
        return signal.Signals(received[0]).name if received else None

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until a signal comes."""
        loop = EventLoop()
        self.tell(loop, lambda: None)
        loop.turn(time.monotonic() + seconds)

    def tell(self, loop: EventLoop, act: Callable[[], object]) -> None:
        """Call `act` once, when a signal comes or has come; a loop can have one such `act`."""

        def heed() -> None:
            if self.name is None:
                self._signals.take()  # it may be another signal
            if self.name is not None:
                loop.forget(self._signals.fd)
                act()

        loop.watch(self._signals.fd, heed)
