"""Poll: descriptors, and what to do when each becomes readable.

poll = Poll()
poll.watch(child.pidfd, note_its_end)
poll.wait(seconds)          # acts on whatever has come, once each
"""

import os
import selectors
from collections.abc import Callable

_CHUNK = 1 << 16


class Poll:
    """A selector whose keys are acted on only while they are still watched."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.close = self._selector.close

    def watch(self, fd: int, act: Callable[[], object]) -> None:
        """Call `act` whenever `fd` is readable."""
        self._selector.register(fd, selectors.EVENT_READ, act)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, if it is watched."""
        if self.watches(fd):
            self._selector.unregister(fd)

    def watches(self, fd: int | None) -> bool:
        """Tell whether `fd` is watched."""
        return fd is not None and fd in self._selector.get_map()

    def read(self, fd: int) -> bytes:
        """Read what is there; b"" is the end, after which `fd` is no longer watched."""
        data = os.read(fd, _CHUNK)
        if not data:
            self.forget(fd)
        return data

    def wait(self, seconds: float) -> None:
        """Wait for at most so long, then act."""
        for key, _ in self._selector.select(max(0.0, seconds)):
            if self._selector.get_map().get(key.fd) is key:  # an earlier one of this round may have ended it
                key.data()
