"""A child whose stdout and stderr are pipes of the gate's, where each pipe's lines go, and how the pipes are read.

child, streams = start(output, "hook", ["/usr/bin/pg_dump"], env, lambda stream: None)
open_streams = OpenStreams(loop, output, streams)
"""

import os
import re
import select
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from borgctl.data_class import dataclass
from borgctl.gate.output import Lines, Output
from borgctl.process import spawn
from borgctl.process.event_loop import EventLoop
from borgctl.process.spawn import Child

MOST_RESULT = 256 * 1024 * 1024  # bytes of stdout of one child
_READ = 65536
_PIPE = 1 << 20  # bytes: the most that a pipe holds (proc(5) pipe-max-size)
_UNCONFINED = spawn.Confinement()


@dataclass(frozen=True, slots=True)
class Stream:
    """A pipe from a child: our end and where its lines go."""

    fd: int
    lines: Lines


def start(
    output: Output,
    source: str,
    words: Sequence[str],
    env: Mapping[str, str],
    disclose: Callable[[str], Callable[[str], str | None] | None],
    fds: Mapping[int, int] | None = None,
    confinement: spawn.Confinement = _UNCONFINED,
    sought: re.Pattern[str] | None = None,
) -> tuple[Child, list[Stream]]:
    """Start a child whose stdout and stderr are pipes of ours; `disclose` says by a stream's name what may pass."""
    pipes = {number: os.pipe2(os.O_CLOEXEC) for number in (1, 2)}
    try:
        given = {**(fds or {}), **{n: ends[1] for n, ends in pipes.items()}}
        child = spawn.spawn(words, env, given, confinement.apply, confinement.kinds)
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


class OpenStreams:
    """The pipes of one child, read in an event loop until each is at its end; a full `output` is waited for."""

    def __init__(self, loop: EventLoop, output: Output, streams: Sequence[Stream]) -> None:
        self._loop, self._output = loop, output
        self._open = {stream.fd: stream.lines for stream in streams}
        self._results = [stream.lines for stream in streams if stream.lines.stream == "stdout"]

    def watch(self) -> None:
        """Have the loop read what comes next; nothing is read for an output that is full."""
        for fd in self._open:
            if self._output.full:
                self._loop.forget(fd)
            else:
                self._loop.watch(fd, partial(self._read, fd))

    def forget(self) -> None:
        """Have the loop read nothing more."""
        self._loop.forget(*self._open)

    def drain(self) -> None:
        """Take what an ended child has left in its pipes; whoever else holds them, and writes on, is not waited for."""
        for fd in list(self._open):
            for _ in range(_PIPE // _READ):
                if fd not in self._open or not select.select([fd], [], [], 0)[0]:
                    break
                self._read(fd)
                if self._output.full:
                    self._output.flush()
            if fd in self._open:
                self._close(fd)

    def overflowed(self) -> bool:
        """Tell whether there was more on stdout than can be judged whole, or than one child may write."""
        return any(lines.overflow or lines.taken > MOST_RESULT for lines in self._results)

    def _read(self, fd: int) -> None:
        if data := self._loop.read(fd):
            self._open[fd].feed(data)
        else:
            self._close(fd)

    def _close(self, fd: int) -> None:
        self._loop.forget(fd)
        self._open.pop(fd).end()
        os.close(fd)
