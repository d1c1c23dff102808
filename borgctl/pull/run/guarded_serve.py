"""Guarded serve: our own two processes of a session, guard and serve, from start to end, in a caller's event loop.

When the client's side has ended, the guard sees the end of file, and when the guard has ended, serve does. From then on
each has some seconds. The guard's last event tells whether it did its work.

    served = GuardedServe(ours, loop, launcher.patience, hear=reader.serve, guard_gone=…, serve_gone=…, defect=…)
    … served.end() … served.gone()
"""

import signal
from collections.abc import Callable

from borgctl.process.event_loop import EventLoop, Termination, Timer
from borgctl.pull.process.children import ChildProcess
from borgctl.pull.process.pipes import Ours
from borgctl.pull.repository.guard_process import REFUSED, Events
from borgctl.pull.run.defect import Defect
from borgctl.pull.run.timeouts import Timeouts

_SPACE_INTERVAL = 1.0  # seconds


class GuardedServe:
    """Guard and serve: each has a while from its end of file to TERM, and from there to KILL (`patience`).

    `status` is serve's, None as long as it runs. `defect` notes what should never fail, and does.
    """

    def __init__(
        self,
        ours: Ours,
        loop: EventLoop,
        patience: Timeouts,
        *,
        hear: Callable[[bytes], object],
        guard_gone: Callable[[], object],
        serve_gone: Callable[[], object],
        defect: Defect,
    ) -> None:
        self._guard, self._serve, self._loop, self._defect = ours.guard, ours.serve, loop, defect
        self._hear, self._guard_gone, self._serve_gone = hear, guard_gone, serve_gone
        self._guard_status: int | None = None
        self.status: int | None = None
        self.events = Events()
        self._terminations = {
            child: Termination(loop, child.send, ((first, signal.SIGTERM), (second, signal.SIGKILL)))
            for child, first, second in (
                (self._guard, patience.guard, patience.guard),
                (self._serve, patience.end_of_file, patience.terminated),
            )
        }
        self._last = False  # the client's side has ended
        self._space_timer: Timer | None = None
        loop.once(self._guard.pidfd, defect.noting(self._guard_ended))
        loop.watch(self._guard.stderr, defect.noting(self._guard_says))
        loop.once(self._serve.pidfd, defect.noting(self._serve_ended))
        loop.watch(self._serve.stderr, defect.noting(lambda: self._hear(loop.read(self._serve.stderr))))

    @property
    def fault(self) -> str | None:
        """Return what is wrong with the guard's end, None where it did its work; call this once it has ended."""
        events = self.events
        if events.strange is not None:
            return f"the guard failed: {events.strange}"
        if events.passed is None or self._guard_status != (0 if events.refused is None else REFUSED):
            return f"the guard ended with status {self._guard_status}{'' if events.passed else ' and reported nothing'}"
        return None

    def gone(self) -> bool:
        """Tell whether both have ended."""
        return not any(self._loop.watches(child.pidfd) for child in (self._guard, self._serve))

    def told(self) -> bool:
        """Tell whether all of their output has been read."""
        return not any(self._loop.watches(child.stderr) for child in (self._guard, self._serve))

    def watch_space(self, room: Callable[[], bool], full: Callable[[], object]) -> None:
        """Call `full` if the repository's disk has no space left, now and in a moment, until the client's side ends."""
        again = self._defect.noting(lambda: self.watch_space(room, full))
        self._space_timer = self._loop.after(_SPACE_INTERVAL, again)
        if not room():
            full()

    def end(self) -> None:
        """Begin to wait for their end: the client's side has ended."""
        self._last = True
        self._loop.cancel(self._space_timer)
        first = self._terminations.get(self._guard) or self._terminations.get(self._serve)
        if first is not None:
            first.begin()

    def close(self) -> None:
        """Stop waiting for anything."""
        self._loop.cancel(self._space_timer)
        for child in (self._guard, self._serve):
            self._loop.forget(child.pidfd, child.stderr)
        for termination in self._terminations.values():
            termination.cancel()

    def _ended(self, child: ChildProcess) -> int:
        self._terminations.pop(child).cancel()
        return child.status()

    def _guard_says(self) -> None:
        self.events.feed(self._loop.read(self._guard.stderr))

    def _guard_ended(self) -> None:
        self._guard_status = self._ended(self._guard)
        while self._loop.watches(self._guard.stderr):  # all of it is in the pipe by now
            try:
                self._guard_says()
            except BlockingIOError:  # another process holds its stderr open
                self._loop.forget(self._guard.stderr)
        if self._last:
            self.end()
        self._guard_gone()

    def _serve_ended(self) -> None:
        self.status = self._ended(self._serve)
        self._serve_gone()
