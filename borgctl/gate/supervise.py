"""One run's processes from start to end: their output, the limits, the peer's presence, and a sure end.

A `Watch` runs one child after the other (hooks, borg) and notices what must end them: the time limit, a signal, a peer
that has gone. sshd sends no signal when its peer goes, so the descriptors are watched. It does not know borg.

    watch = Watch(output, seconds=3600); watch.start()
    status = watch.run(child, streams, BORG_ENDING)
"""

import math
import os
import re
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from borgctl.data_class import dataclass, field
from borgctl.gate.output import Lines, Output
from borgctl.gate.transport import Door
from borgctl.process import spawn
from borgctl.process.spawn import Child

MOST_RESULT = 256 * 1024 * 1024  # bytes of stdout of one child
# To end borg: INT to it alone (it writes a checkpoint and needs its relay for that), TERM to it alone, KILL to all.
BORG_ENDING = ((0.0, signal.SIGINT), (20.0, signal.SIGTERM), (30.0, signal.SIGKILL))
HOOK_ENDING = ((0.0, signal.SIGTERM), (10.0, signal.SIGKILL))
_GRACE = 2.0  # seconds from the end of the server's bytes to a disconnect: borg sees it too, and ends by itself
_TICK = 1.0  # seconds
_READ = 65536
_PIPE = 1 << 20  # bytes: the most that a pipe holds (proc(5) pipe-max-size)
_NO_WALL = spawn.Wall()
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


@dataclass(frozen=True, slots=True)
class Stream:
    """A pipe from a child: our end and where its lines go."""

    fd: int
    lines: Lines


@dataclass(slots=True)
class Watch:
    """What a run must obey. `stopped` is the reason code why it has to end, once there is one.

    `hangup` is a descriptor whose POLLHUP means that the server is gone (-1: none).
    """

    output: Output
    seconds: float
    hangup: int = -1
    stopped: str | None = None
    _patient: bool = False
    _end: float = 0.0
    _quiet_since: float | None = None
    _wakeup: int = -1
    _signals: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Begin: the clock runs, signals are noticed."""
        self._end = time.monotonic() + self.seconds
        self._wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def settle(self, seconds: float) -> None:
        """From here on only the clock counts: what follows has to run even where the peer has gone."""
        self._end = time.monotonic() + seconds
        self._patient, self.hangup, self.stopped = True, -1, None

    def run(
        self,
        child: Child,
        streams: Sequence[Stream],
        ending: Sequence[tuple[float, int]],
        door: Door | None = None,
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
        open_streams = {stream.fd: stream for stream in streams}
        stopping, steps, late = 0.0, list(ending), time.monotonic() + seconds
        while not self._turn(child, open_streams, door):
            self._notice(streams)
            self.stopped = self.stopped or look()
            if (self.stopped or time.monotonic() > late) and not stopping:
                stopping = time.monotonic()
                before_end()
            while stopping and steps and time.monotonic() - stopping >= steps[0][0]:
                _tell(child, steps.pop(0)[1])
        if door is not None:
            door.close()
        at_end(child)
        self._drain(open_streams)
        self._notice_results(streams)
        return child.reap()

    def _notice(self, streams: Sequence[Stream]) -> None:
        """Look for a reason to end."""
        if self.output.stalled():
            self.output.drop()
        quiet = self._quiet_since is not None and time.monotonic() - self._quiet_since > _GRACE
        if self.stopped:
            return
        if time.monotonic() > self._end:
            self.stopped = "runtime-limit"
        elif self._signals and not self._patient:
            self.stopped = "stopped"
        elif (self.output.gone or (quiet and self.hangup >= 0)) and not self._patient:
            self.stopped = "disconnected"
        else:
            self._notice_results(streams)

    def _notice_results(self, streams: Sequence[Stream]) -> None:
        results = [stream.lines for stream in streams if stream.lines.stream == "stdout"]
        if any(lines.overflow or lines.taken > MOST_RESULT for lines in results):
            self.stopped = self.stopped or "output-limit"

    def _turn(self, child: Child, open_streams: dict[int, Stream], door: Door | None) -> bool:
        """Wait for the next events and serve them; return whether the child has ended."""
        if door is not None and door.counts is not None:
            self.hangup = -1  # borg has closed its connection: the server may go
        ended = False
        for fd, event in self._poll(child, open_streams, door).poll(_TICK * 1000):
            if fd == child.end:
                ended = True
            elif fd == self._wakeup:
                self._signals += os.read(fd, 64)
            elif fd == self.output.fd:
                self.output.drop() if event & _GONE else self.output.write()
            elif fd == self.hangup:
                self._quiet_since = time.monotonic()
            elif fd in open_streams:
                _read(open_streams, fd)
            elif door is not None:
                door.answer(child.pid)
        return ended

    def _poll(self, child: Child, open_streams: dict[int, Stream], door: Door | None) -> select.poll:
        poll = select.poll()
        poll.register(child.end, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        if not self.output.gone:
            poll.register(self.output.fd, select.POLLOUT if self.output.waiting else 0)
        if self.hangup >= 0 and self._quiet_since is None:
            poll.register(self.hangup, 0)
        if door is not None and door.fileno() >= 0:
            poll.register(door.fileno(), select.POLLIN)
        if not self.output.full:
            for fd in open_streams:
                poll.register(fd, select.POLLIN)
        return poll

    def _drain(self, open_streams: dict[int, Stream]) -> None:
        """Take what an ended child has left in its pipes; whoever else holds them, and writes on, is not waited for."""
        for fd in list(open_streams):
            for _ in range(_PIPE // _READ):
                if fd not in open_streams or not select.select([fd], [], [], 0)[0]:
                    break
                _read(open_streams, fd)
                if self.output.full:
                    self.output.flush()
            if fd in open_streams:
                _close(open_streams, fd)


def start(
    output: Output,
    source: str,
    words: Sequence[str],
    env: Mapping[str, str],
    disclose: Callable[[str], Callable[[str], str | None] | None],
    fds: Mapping[int, int] | None = None,
    wall: spawn.Wall = _NO_WALL,
    sought: re.Pattern[str] | None = None,
) -> tuple[Child, list[Stream]]:
    """Start a child whose stdout and stderr are pipes of ours; `disclose` says by a stream's name what may pass."""
    pipes = {number: os.pipe2(os.O_CLOEXEC) for number in (1, 2)}
    try:
        given = {**(fds or {}), **{n: ends[1] for n, ends in pipes.items()}}
        child = spawn.spawn(words, env, given, wall.lay, wall.kinds)
    except OSError:
        for read_end, _ in pipes.values():
            os.close(read_end)
        raise
    finally:
        for _, write_end in pipes.values():
            os.close(write_end)
    names = {1: "stdout", 2: "stderr"}
    return child, [
        Stream(read_end, Lines(output, source, names[n], disclose(names[n]), sought))
        for n, (read_end, _) in pipes.items()
    ]


def _tell(child: Child, number: int) -> None:
    if number == signal.SIGKILL:
        spawn.kill_group(child)
    child.signal(number)
    spawn.wake_group(child)  # one that was stopped would not hear it, nor would borg write without its relay


def _read(open_streams: dict[int, Stream], fd: int) -> None:
    if data := os.read(fd, _READ):
        open_streams[fd].lines.feed(data)
    else:
        _close(open_streams, fd)


def _close(open_streams: dict[int, Stream], fd: int) -> None:
    open_streams.pop(fd).lines.end()
    os.close(fd)
