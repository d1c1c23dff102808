"""A run, or a window, from start to end: what is said, the limits, the peer's presence, and a sure end.

A `Watch` notices what must end them: the time limit, a signal, a peer that has gone. sshd sends no signal when its peer
goes, so the descriptors are watched. Meanwhile it runs one child after the other (hooks, borg), or only waits. The
first reason to end stays the reason. It does not know borg.

    with Watch(output, seconds=3600) as watch:
        status = watch.run(child, streams, BORG_ENDING)

    with Watch(output, seconds=1800, limit="window-expired") as watch:
        while watch.stopped is None: ready = watch.wait(listener.fileno())
"""

import math
import select
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from borgctl.data_class import dataclass, field
from borgctl.gate.child_streams import OpenStreams, Stream
from borgctl.gate.output import Output
from borgctl.gate.relay_listener import RelayListener
from borgctl.process import spawn
from borgctl.process.event_loop import EventLoop, Signals, Termination, Timer
from borgctl.process.spawn import Child

_GRACE = 2.0  # seconds from the end of the server's bytes to a disconnect: borg sees it too, and ends by itself
_TICK = 1.0  # seconds: the longest wait without a look at what nothing tells of


@dataclass(slots=True)
class Watch:
    """What a run or a window must obey. `stopped` is the reason code why it has to end, once there is one.

    `hangup` is a descriptor whose POLLHUP means that the server is gone (-1: none), `limit` the reason code where the
    time is over.
    """

    output: Output
    seconds: float
    hangup: int = -1
    limit: str = "runtime-limit"
    stopped: str | None = None
    _loop: EventLoop = field(default_factory=EventLoop)
    _signals: Signals = field(default_factory=partial(Signals, signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
    _end: float = 0.0
    _patient: bool = False
    _server_gone: bool = False
    _grace: Timer | None = None

    def __enter__(self) -> Self:
        """Begin: the clock runs, signals are noticed."""
        self._end = time.monotonic() + self.seconds
        self._signals.__enter__()
        self._loop.watch(self._signals.fd, self._signals.take)
        if self.hangup >= 0:
            self._loop.once(self.hangup, self._hung_up, events=0)
        return self

    def __exit__(self, *_: object) -> None:
        """End: what follows is short, and has to be done."""
        self._signals.__exit__()

    def settle(self, seconds: float) -> None:
        """From here on only the clock counts: what follows has to run even where the peer has gone."""
        self._end = time.monotonic() + seconds
        self._patient, self.stopped = True, None
        self._let_server_go()

    def run(
        self,
        child: Child,
        streams: Sequence[Stream],
        ending: Sequence[tuple[float, int]],
        relay_listener: RelayListener | None = None,
        seconds: float = math.inf,
        before_end: Callable[[], object] = lambda: None,
        at_end: Callable[[Child], object] = spawn.kill_group,
        look: Callable[[], str | None] = lambda: None,
    ) -> int:
        """Serve a child's output until it ends, ending it if need be; return its status as Child.reap does.

        `seconds` is the child's own limit: it is ended then, and nothing else is. `before_end` is called once, before
        it is told to end; `at_end` when it has ended and its number is still its own, to see to what it has left;
        `look` often, and a reason that it returns ends the run.
        """
        open_streams = OpenStreams(self._loop, self.output, streams)
        termination = Termination(self._loop, partial(_tell, child), ending, before_end)
        late = self._loop.after(seconds, termination.begin)
        self._loop.once(child.end, termination.cancel)
        try:
            if relay_listener is not None:
                self.attend(relay_listener, child.pid)
            while self._lives(child, open_streams):
                self._notice(open_streams)
                self.stopped = self.stopped or look()
                if self.stopped:
                    termination.begin()
        finally:
            termination.cancel()
            self._loop.cancel(late)
            self._loop.forget(child.end)
            open_streams.forget()
            if relay_listener is not None:
                self._loop.forget(relay_listener.fileno())
        if relay_listener is not None:
            relay_listener.close()
        at_end(child)
        open_streams.drain()
        if open_streams.overflowed():
            self.stopped = self.stopped or "output-limit"
        return child.reap()

    def wait(self, fd: int = -1, until: float = math.inf) -> bool:
        """Serve the next events, not beyond the moment `until`; return whether `fd` is readable, where there is one."""
        ready: list[int] = []
        if fd >= 0:
            self._loop.once(fd, partial(ready.append, fd))
        self._turn(until)
        self._loop.forget(fd)
        self._notice()
        return bool(ready)

    def attend(self, relay_listener: RelayListener, borg: int) -> None:
        """Let the relay in, which descends from the process `borg`, and hear it until nothing more is expected."""

        def answer() -> None:
            relay_listener.answer(borg)
            if relay_listener.counts is not None:
                self._let_server_go()  # borg has closed its connection
            self.attend(relay_listener, borg)

        if (fd := relay_listener.fileno()) >= 0:
            self._loop.once(fd, answer)

    def _hung_up(self) -> None:
        self._grace = self._loop.after(_GRACE, self._miss_server)

    def _miss_server(self) -> None:
        self._server_gone = True

    def _let_server_go(self) -> None:
        """Let it be nothing to us that the server goes."""
        self._loop.forget(self.hangup)
        self._loop.cancel(self._grace)
        self._server_gone = False

    def _lives(self, child: Child, open_streams: OpenStreams) -> bool:
        """Serve the next events; return whether the child lives."""
        open_streams.watch()
        self._turn()
        return self._loop.watches(child.end)

    def _turn(self, until: float = math.inf) -> None:
        """Serve the next events."""
        output = self.output
        if output.gone:
            self._loop.forget(output.fd)
        else:
            self._loop.watch(output.fd, output.write, select.POLLOUT if output.waiting else 0, gone=output.drop)
        end = math.inf if self.stopped else self._end
        self._loop.turn(min(until, end, time.monotonic() + _TICK))
        if output.stalled():
            output.drop()

    def _notice(self, open_streams: OpenStreams | None = None) -> None:
        """Look for a reason to end; what somebody has done counts before the clock."""
        if self.stopped:
            return
        if self._signals.received and not self._patient:
            self.stopped = "stopped"
        elif (self.output.gone or self._server_gone) and not self._patient:
            self.stopped = "disconnected"
        elif time.monotonic() >= self._end:
            self.stopped = self.limit
        elif open_streams is not None and open_streams.overflowed():
            self.stopped = "output-limit"


def _tell(child: Child, number: int) -> None:
    if number == signal.SIGKILL:
        spawn.kill_group(child)
    child.signal(number)
    spawn.wake_group(child)  # one that was stopped would not hear it, nor would borg write without its relay
