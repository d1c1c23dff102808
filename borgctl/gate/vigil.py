"""A vigil: what a gate that only waits looks out for, which is its time, signals and a peer that has gone.

`supervise` watches over a child; here there is none. The first reason to end stays the reason.

    with Vigil(output, seconds=1800) as vigil:
        while vigil.reason is None: ready = vigil.wait(listener.fileno())
"""

import os
import select
import signal
import time
from types import TracebackType

from borgctl.gate.output import Output

_TICK = 1.0  # seconds
_GRACE = (
    2.0  # seconds from the end of the server's bytes to a disconnect: perhaps all was said, and we are told so next
)
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Vigil:
    """`reason`: a reason code once there is one; `hangup`: a descriptor whose POLLHUP means that the server is gone."""

    def __init__(self, output: Output, seconds: float, hangup: int = -1) -> None:
        self.reason: str | None = None
        self.hangup = hangup
        self._output = output
        self._end = time.monotonic() + seconds
        self._quiet_since: float | None = None

    def __enter__(self) -> "Vigil":
        self._wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self._kept = {n: signal.signal(n, lambda *_: None) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
        self._mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._write_end = write_end
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)  # what follows is short, and has to be done
        for number, handler in self._kept.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._wakeup)
        os.close(self._write_end)

    def wait(self, *fds: int) -> set[int]:
        """Wait a moment; return which of the descriptors are readable (negative ones are left out)."""
        ready = set()
        for fd, event in self._poll(fds).poll(max(0.0, min(_TICK, self._end - time.monotonic())) * 1000):
            if fd == self._wakeup:
                os.read(fd, 64)
                self._because("stopped")
            elif fd == self._output.fd:
                self._output.drop() if event & _GONE else self._output.write()
            elif fd == self.hangup and fd not in fds:
                self._quiet_since = time.monotonic()
            else:
                ready.add(fd)
        if self._output.stalled():
            self._output.drop()
        quiet = self._quiet_since is not None and time.monotonic() - self._quiet_since > _GRACE
        if self._output.gone or (quiet and self.hangup >= 0):
            self._because("disconnected")
        if time.monotonic() >= self._end:
            self._because("window-expired")
            self._end = float("inf")
        return ready

    def _because(self, reason: str) -> None:
        self.reason = self.reason or reason

    def _poll(self, fds: tuple[int, ...]) -> select.poll:
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        if not self._output.gone:
            poll.register(self._output.fd, select.POLLOUT if self._output.waiting else 0)
        if self.hangup >= 0 and self._quiet_since is None:
            poll.register(self.hangup, 0)
        for fd in fds:
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        return poll
