"""The guard stands between a client's bytes and `borg serve`'s stdin. It passes only what this kind of session may say.

    python -I -m borgctl.pull.repository.rpc_guard --repository PATH --session NAME [--quota BYTES] [--puts N]
        [--commits N] [--deletes N|any]

fd 0 is the client's (a unix socket or a pipe), fd 1 serve's stdin, fd 2 the launcher's: one JSON object a line,
`refused` at most once, `end` last. It judges a copy in this process, so nobody can change a message afterwards. The
data of a put, which no rule looks at, goes from descriptor to descriptor (splice(2)) and is never read.

No call blocks but poll: a splice that waits for a socket holds its pipe's lock, and serve would wait for the lock. fd 0
stays as it is, because serve's stdout may be the same socket. Exit status: 0 when a side has ended, 3 after a refusal.
"""

import contextlib
import json
import os
import select
import signal
import sys

from borgctl.pull.repository import transactions
from borgctl.pull.repository.objects import objects
from borgctl.pull.repository.rpc_reader import RpcRefused
from borgctl.pull.repository.rpc_rules import Judge
from borgctl.pull.repository.rpc_screen import RpcScreen
from borgctl.pull.repository.rpc_sessions import SESSIONS, SessionLimits, SessionRules

REFUSED = 3  # exit status
_PIECE = 16 << 10  # bytes read at once to be judged; more would copy data of puts that can be spliced
_SPLICED = 1 << 20  # bytes
_LARGEST = (1 << 63) - 1
_NUMBERS = ("--quota", "--puts", "--commits", "--deletes")
_CLIENT, _SERVE, _LAUNCHER = 0, 1, 2
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Ended(Exception):  # noqa: N818 - reads as what it says
    """A side has ended, or a signal asked for the end."""


class Guard:
    """One session between two descriptors; `wake` is readable when a signal has come."""

    def __init__(self, screen: RpcScreen, wake: int) -> None:
        self.screen, self.wake = screen, wake
        self.passed = 0  # bytes
        self.cut = False  # the stream ended inside a message
        self._splice = True
        self._reading, self._writing = select.poll(), select.poll()
        self._reading.register(_CLIENT, select.POLLIN)
        self._reading.register(_SERVE, 0)  # its reader's end alone
        self._writing.register(_SERVE, select.POLLOUT)
        for poll in (self._reading, self._writing):
            poll.register(wake, select.POLLIN)

    def run(self) -> None:
        """Pass on what may pass, until a side ends or a message is refused."""
        held = b""
        try:
            while self.screen.refusal is None:
                held = self._step(held)
        except (_Ended, BrokenPipeError, ConnectionResetError):
            self.cut = self.cut or bool(held or self.screen.tail)

    def _step(self, held: bytes) -> bytes:
        """Take the next piece, and return what of it cannot be judged yet."""
        held += self._read()
        passing = self.screen.measure(held)
        self.cut = passing > len(held)
        self._write(held[:passing])
        if passing > len(held):
            self._forward(passing - len(held))
        self.cut = False
        return held[passing:]

    def _read(self) -> bytes:
        """Return the next bytes from the client."""
        self._wait(self._reading)
        piece = os.read(_CLIENT, _PIECE)
        if not piece:
            raise _Ended
        return piece

    def _write(self, data: bytes) -> None:
        """Hand serve all of it, however long it takes."""
        view = memoryview(data)
        while view:
            try:
                written = os.write(_SERVE, view)
            except BlockingIOError:
                self._wait(self._writing)
                continue
            self.passed += written
            view = view[written:]

    def _forward(self, left: int) -> None:
        """Hand serve so many bytes of data, unread where the kernel can."""
        while left:
            self._wait(self._reading)
            moved = self._move(left)
            if moved is None:
                self._wait(self._writing)
                continue
            if not moved:
                raise _Ended
            left -= moved

    def _move(self, most: int) -> int | None:
        """Move what is there, `most` bytes at most; return their number, 0 at the end, None where serve is busy."""
        if not self._splice:
            data = os.read(_CLIENT, min(most, _SPLICED))
            self._write(data)
            return len(data)
        try:
            moved = os.splice(_CLIENT, _SERVE, min(most, _SPLICED), flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return None
        except (BrokenPipeError, ConnectionResetError):
            raise
        except OSError:  # EINVAL: not between these two
            self._splice = False
            return self._move(most)
        self.passed += moved
        return moved

    def _wait(self, poll: select.poll) -> None:
        """Wait until the poll's descriptor is ready; raise _Ended where serve has gone or a signal has come."""
        ready = dict(poll.poll())
        if self.wake in ready or ready.get(_SERVE, 0) & (select.POLLERR | select.POLLNVAL):
            raise _Ended


def parse(words: list[str]) -> tuple[SessionRules, str, SessionLimits]:
    """Return the session and limits of the launcher's words; raise ValueError or KeyError where they are malformed."""
    options = dict(zip(words[::2], words[1::2], strict=True))
    repository, name = options.pop("--repository"), options.pop("--session")
    numbers = {option[2:]: _count(option, value) for option, value in options.items()}
    if 2 * (len(numbers) + 2) != len(words):
        raise ValueError("an option is given twice")
    return SESSIONS[name], name, SessionLimits(os.fsencode(repository), **numbers)  # type: ignore[arg-type]


def _count(option: str, value: str) -> int | None:
    """Return an option's number."""
    if option == "--deletes" and value == "any":
        return None
    if option not in _NUMBERS or not (value.isascii() and value.isdecimal()):
        raise ValueError(f"{option} {value!r}")
    return min(int(value), _LARGEST)


def _tell(**values: object) -> None:
    """Write one event; the launcher may be gone."""
    with contextlib.suppress(OSError):
        os.write(_LAUNCHER, json.dumps(values).encode() + b"\n")


def _wakeful() -> int:
    """Return a descriptor that is readable once a signal asks for the end."""
    wake, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _ENDING:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    return wake


def serve(session: SessionRules, name: str, limits: SessionLimits) -> int:
    """Guard one session on fds 0, 1 and 2, and return the exit status."""
    wake = _wakeful()
    os.set_blocking(_SERVE, False)
    repository = os.fsdecode(limits.repository)
    with objects(repository) as known:
        judge = Judge(session, limits, lambda: not transactions.is_there(repository), known)
        guard = Guard(RpcScreen(judge), wake)
        guard.run()
    os.close(_SERVE)  # serve sees the end of file before the launcher gets the report
    refusal: RpcRefused | None = guard.screen.refusal
    if refusal is not None:
        _tell(event="refused", method=refusal.method, session=name, rule=refusal.rule, detail=refusal.detail)
    _tell(event="end", **judge.facts.report(), bytes=guard.passed, cut=guard.cut)
    return 0 if refusal is None else REFUSED


def main(words: list[str]) -> int:
    """Read the launcher's words and guard."""
    return serve(*parse(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
