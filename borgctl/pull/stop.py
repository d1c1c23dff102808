"""Stop: the signals that ask the launcher to end, as something an event loop can wait for.

with Stop() as stop: loop.watch(stop.fd, lambda: stop.asked() and end())    # stop.name is then 'SIGTERM', else None
"""

import signal
from typing import Self

from borgctl.process.event_loop import Signals


class Stop:
    """Catch SIGINT, SIGTERM and SIGHUP while it is entered; what was ignored before (nohup) stays ignored.

    What our starter has blocked is not, and a SIGCHLD that it ignored is not either: with that one ignored nobody can
    learn how a child ended (wait(2)), and every end would look like a good one.
    """

    def __init__(self) -> None:
        self._signals = Signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, keep_ignored=True)

    def __enter__(self) -> Self:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.fd = self._signals.__enter__().fd
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.__exit__()

    @property
    def name(self) -> str | None:
        """Return the first of these signals that has come, None as long as there was none."""
        received = self._signals.received
        return signal.Signals(received[0]).name if received else None

    def asked(self) -> bool:
        """Tell whether one has come; to be called where `fd` is readable, which it stays from the first one on."""
        if self.name is None:
            self._signals.take()  # another signal, which is none of these
        return self.name is not None
