"""Served: our own two processes of a session, guard and serve, from their start to their end, in somebody's event loop.

When the client's side has gone the guard sees the end of file, and when the guard has gone serve does; each gets some
patience from there. Whether the guard did its work is known when it has ended: it says so with its last event.

    served = Served(ours, loop, guard=(10, 10), serve=(20, 10), hear=hearing.serve, guard_gone=…, serve_gone=…)
    … served.end() … served.gone()
"""

import signal
from collections.abc import Callable

from borgctl.process.event_loop import EventLoop, Termination
from borgctl.pull.process.children import Child
from borgctl.pull.process.pipes import Ours
from borgctl.pull.repository.guard import REFUSED, Events


class Served:
    """Guard and serve, each with its patience: seconds from its end of file to TERM, and from there to KILL.

    `status` is serve's, None as long as it runs.
    """

    def __init__(
        self,
        ours: Ours,
        loop: EventLoop,
        *,
        guard: tuple[float, float],
        serve: tuple[float, float],
        hear: Callable[[bytes], object],
        guard_gone: Callable[[], object],
        serve_gone: Callable[[], object],
    ) -> None:
        self._guard, self._serve, self._loop = ours.guard, ours.serve, loop
        self._hear, self._guard_gone, self._serve_gone = hear, guard_gone, serve_gone
        self._guard_status: int | None = None
        self.status: int | None = None
        self.events = Events()
        self._terminations = {
            child: Termination(loop, child.send, ((patience[0], signal.SIGTERM), (patience[1], signal.SIGKILL)))
            for child, patience in ((self._guard, guard), (self._serve, serve))
        }
        self._last = False  # nothing more comes from the client's side
        loop.once(self._guard.pidfd, self._guard_ended)
        loop.watch(self._guard.stderr, self._guard_says)
        loop.once(self._serve.pidfd, self._serve_ended)
        loop.watch(self._serve.stderr, lambda: self._hear(loop.read(self._serve.stderr)))

    @property
    def fault(self) -> str | None:
        """Return what is wrong with the guard's end, None where it has done its work; asked when it has gone."""
        events = self.events
        if events.strange is not None:
            return f"the guard failed: {events.strange}"
        if events.passed is None or self._guard_status != (0 if events.refused is None else REFUSED):
            return f"the guard ended with status {self._guard_status}{'' if events.passed else ' and told nothing'}"
        return None

    def gone(self) -> bool:
        """Tell whether both have ended."""
        return not any(self._loop.watches(child.pidfd) for child in (self._guard, self._serve))

    def told(self) -> bool:
        """Tell whether all that they had to say has been read."""
        return not any(self._loop.watches(child.stderr) for child in (self._guard, self._serve))

    def end(self) -> None:
        """Begin to wait for their end: the client's side has gone."""
        self._last = True
        first = self._terminations.get(self._guard) or self._terminations.get(self._serve)
        if first is not None:
            first.begin()

    def close(self) -> None:
        """Wait for nothing any more."""
        for child in (self._guard, self._serve):
            self._loop.forget(child.pidfd, child.stderr)
        for termination in self._terminations.values():
            termination.cancel()

    def _ended(self, child: Child) -> int:
        self._terminations.pop(child).cancel()
        return child.status()

    def _guard_says(self) -> None:
        self.events.feed(self._loop.read(self._guard.stderr))

    def _guard_ended(self) -> None:
        self._guard_status = self._ended(self._guard)
        while self._loop.watches(self._guard.stderr):  # all of it is in the pipe by now
            try:
                self._guard_says()
            except BlockingIOError:  # somebody else holds its stderr open
                self._loop.forget(self._guard.stderr)
        if self._last:
            self.end()
        self._guard_gone()

    def _serve_ended(self) -> None:
        self.status = self._ended(self._serve)
        self._serve_gone()
