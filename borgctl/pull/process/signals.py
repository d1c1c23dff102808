"""Stop: the signals that ask the launcher to end, as something that a poll loop can wait for.

with Stop() as stop: … select on stop.fd … stop.name is then 'SIGTERM', else None
"""

import os
import signal
from types import FrameType
from typing import Self

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Catch SIGINT, SIGTERM and SIGHUP while it is entered; what was ignored before (nohup) stays ignored.

    Signals that our parent blocked are unblocked, and SIGCHLD is no longer ignored: with it ignored nobody can learn
    how a child ended (wait(2)), and every end would look like a good one.
    """

    def __init__(self) -> None:
        self.name: str | None = None

    def __enter__(self) -> Self:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.fd, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        caught = [number for number in _ASKING if signal.getsignal(number) is not signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, self._note) for number in caught}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._writer)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.name = self.name or signal.Signals(number).name
