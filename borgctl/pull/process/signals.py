"""Stop: the signals that ask the launcher to end, also where it waits in an event loop.

with Stop() as stop: stop.tell(loop, end)       # stop.name is 'SIGTERM' once that has come, else None
"""

import signal
import time
from collections.abc import Callable
from typing import Self

from borgctl.process.event_loop import EventLoop, Signals

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Catch SIGINT, SIGTERM and SIGHUP while it is entered; what was ignored before (nohup) stays ignored.

    What our starter has blocked is not, and a SIGCHLD that it ignored is not either: with that one ignored nobody can
    learn how a child ended (wait(2)), and every end would look like a good one.
    """

    def __init__(self) -> None:
        self._signals = Signals(*_ASKING, keep_ignored=_ASKING)

    def __enter__(self) -> Self:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.__exit__()

    @property
    def name(self) -> str | None:
        """Return the first of these signals that has come, None as long as there was none."""
        received = self._signals.received
        return signal.Signals(received[0]).name if received else None

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until one has come."""
        loop = EventLoop()
        self.tell(loop, lambda: None)
        loop.turn(time.monotonic() + seconds)

    def tell(self, loop: EventLoop, act: Callable[[], object]) -> None:
        """Call `act` once, when one has come, also before; a loop has one that is told."""

        def heed() -> None:
            if self.name is None:
                self._signals.take()  # another signal, which is none of these
            if self.name is not None:
                loop.forget(self._signals.fd)
                act()

        loop.watch(self._signals.fd, heed)
