"""Outputs: stdout and stderr while an event loop turns, so that a reader who is slow, or reads nothing, stops no run.

A write to a full pipe waits until somebody reads, and with it all that the loop does: other runs, deadlines, signals.
So what is printed is written at once only as far as poll(2) says that the descriptor can take it, else it is kept, in
order, and written from the loop. A pipe that can take anything takes PIPE_BUF bytes (pipe(7)), so the descriptor need
not be made non-blocking: that would hold for everybody who shares it. A terminal is left as it is.

    with queued(loop, stop) as outputs:
        print("…")                          # sys.stdout and sys.stderr are queues here
        outputs.finish(deadline)            # {"stdout": "lost lines, as nobody read them: 3"}
"""

import math
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, cast

from borgctl.process.event_loop import EventLoop
from borgctl.pull.process.signals import Stop

_AT_ONCE = select.PIPE_BUF  # bytes
_BURST = 64  # writes, then others have their turn
_REPORTS, _LINES = 64 << 20, 1 << 20  # bytes that are kept at most for stdout, and for stderr
_HURRIED = 2.0  # seconds for what is left, once somebody wants the call to end


class Queue:
    """Bytes for one descriptor, in order. Each stream whose bytes could not be written is told of the error."""

    def __init__(self, fd: int, loop: EventLoop) -> None:
        self._fd, self._loop = fd, loop
        self._pending = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._streams: set[Stream] = set()  # of which bytes are pending

    def __len__(self) -> int:
        return len(self._pending)

    def put(self, data: bytes, stream: "Stream") -> None:
        """Write it, or keep it until the descriptor can take it."""
        self._pending += data
        self._streams.add(stream)
        self._write()

    def drop(self) -> int:
        """Forget what is left; return how many lines it has."""
        lines = self._pending.count(b"\n")
        self._pending.clear()
        self._loop.forget(self._fd)
        return lines

    def _write(self) -> None:
        """Write what the descriptor takes now, and go on when it can take more."""
        try:
            for _ in range(_BURST):
                if not self._pending or not self._poll.poll(0):
                    break
                del self._pending[: os.write(self._fd, self._pending[:_AT_ONCE])]
        except BlockingIOError:  # somebody else has made it non-blocking
            pass
        except OSError as error:  # nobody reads it any more, or the disk is full
            for stream in self._streams:
                stream.error = error
            self._pending.clear()
        if not self._pending:
            self._streams.clear()
            self._loop.forget(self._fd)
        elif not self._loop.watches(self._fd):
            self._loop.watch(self._fd, self._write, select.POLLOUT)


class Stream:
    """A queue's end in the place of sys.stdout or sys.stderr: whole lines go in, or are lost where it has no room.

    An `error` is raised once, where something is put: the next time at the latest.
    """

    def __init__(self, stream: TextIO, queue: Queue, most: int) -> None:
        self.encoding, self.errors = stream.encoding, stream.errors or "strict"
        self._fd, self._queue, self._most = stream.fileno(), queue, most
        self._part, self._lost = "", 0
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Take text; a line goes on its way when it is whole."""
        whole, newline, self._part = (self._part + text).rpartition("\n")
        self._put(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Send a line that is not whole on its way, too."""
        part, self._part = self._part, ""
        self._put(part)

    def isatty(self) -> bool:
        """Tell that it is no terminal."""
        return False

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def loss(self) -> str | None:
        """Return what has become of lines that are not written, None where all are; forget what is left."""
        try:
            self.flush()
            self._check()
        except OSError as error:
            return str(error.strerror)
        lost, self._lost = self._lost + self._queue.drop(), 0
        return f"lost lines, as nobody read them: {lost}" if lost else None

    def _put(self, text: str) -> None:
        self._check()
        data = text.encode(self.encoding, self.errors)
        if self._queue and len(self._queue) + len(data) > self._most:
            self._lost += text.count("\n")
        elif data:
            self._queue.put(data, self)
            self._check()

    def _check(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error


class Outputs:
    """The queued ones of stdout and stderr, by name; they have one queue where both lead to the same file."""

    def __init__(self, loop: EventLoop, stop: Stop) -> None:
        self.loop, self._stop, self._over = loop, stop, False
        self._queues: dict[tuple[int, int], Queue] = {}
        self.streams: dict[str, Stream] = {}
        for name, most in (("stdout", _REPORTS), ("stderr", _LINES)):
            stream = getattr(sys, name)
            if _can_block(stream):
                stream.flush()
                status = os.fstat(stream.fileno())
                queue = self._queues.setdefault((status.st_dev, status.st_ino), Queue(stream.fileno(), loop))
                self.streams[name] = Stream(stream, queue, most)

    def finish(self, deadline: float = math.inf) -> dict[str, str]:
        """Write what is left, as slowly as it is read; return what was lost, by the stream's name.

        It gives up soon after a signal, or after the monotonic `deadline`.
        """
        self.loop.after(max(0.0, deadline - time.monotonic()) + _HURRIED, self._give_up)
        self._stop.tell(self.loop, lambda: self.loop.after(_HURRIED, self._give_up))
        while any(self._queues.values()) and not self._over:
            self.loop.turn()
        losses = {name: stream.loss() for name, stream in self.streams.items()}
        return {name: why for name, why in losses.items() if why is not None}

    def _give_up(self) -> None:
        self._over = True


@contextmanager
def queued(loop: EventLoop, stop: Stop) -> Iterator[Outputs]:
    """Have sys.stdout and sys.stderr written from the loop within the block, where they can make a writer wait."""
    outputs = Outputs(loop, stop)
    with ExitStack() as stack:
        for name, redirect in (("stdout", redirect_stdout), ("stderr", redirect_stderr)):
            if name in outputs.streams:
                stack.enter_context(redirect(cast(TextIO, outputs.streams[name])))
        try:
            yield outputs
        finally:
            outputs.finish()


def _can_block(stream: TextIO | None) -> bool:
    """Tell whether it has a descriptor, and is no terminal."""
    try:
        return stream is not None and not stream.isatty() and stream.fileno() >= 0
    except (OSError, ValueError):  # it is closed, or an object of a caller's
        return False
