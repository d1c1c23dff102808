"""A program that waits at a named pipe into which nobody writes, as proc(5) shows it.

open(2) of a FIFO returns when somebody opens its other end, which may be never. The pipe itself is not touched: to open
it would let the program go on with nothing. Where the kernel does not let us look, nothing is found.

    waiting = Waiting(lambda: [pid], seconds=60); waiting.look() == "/srv/dumps/db.fifo"     # after a minute
"""

import os
import time
from collections.abc import Callable, Iterable

from borgctl.data_class import dataclass

_EVERY = 1.0  # seconds
_AT_A_FIFO = ("wait_for_partner", "fifo_open")  # fs/pipe.c
_PAGE, _LONGEST = 4096, 4096
# The path's place among the arguments, and that of its directory (-1: none), by the number of the system call
_OPENAT = {257: (1, 0)} if os.uname().machine == "x86_64" else {56: (1, 0)}
_CALLS = {437: (1, 0), **_OPENAT, **({2: (0, -1)} if os.uname().machine == "x86_64" else {})}
_HERE = 2**32 - 100  # AT_FDCWD


@dataclass(slots=True)
class Waiting:
    """Notice that one of these processes waits at the same pipe for so many seconds."""

    pids: Callable[[], Iterable[int]]
    seconds: float
    _path: str | None = None
    _since: float = 0.0
    _looked: float = 0.0

    def look(self) -> str | None:
        """Return the pipe, once it has waited for so long; to be called often."""
        now = time.monotonic()
        if now - self._looked < _EVERY:
            return None
        self._looked, path = now, next((found for pid in self.pids() if (found := _pipe(pid))), None)
        if path != self._path:
            self._path, self._since = path, now
        return path if path and now - self._since >= self.seconds else None


def _pipe(pid: int) -> str | None:
    """Return the FIFO that a process is about to open and has to wait for, None where it does something else."""
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
            if file.read(64) not in _AT_A_FIFO:
                return None
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            number, *arguments = (int(word, 0) for word in file.read(400).split()[:7])
        path, directory = _CALLS[number]
        name = _text(pid, arguments[path])
        if name.startswith("/") or directory < 0 or arguments[directory] & 0xFFFFFFFF == _HERE:
            return name
        return os.path.join(os.readlink(f"/proc/{pid}/fd/{arguments[directory]}"), name)
    except (OSError, ValueError, KeyError, OverflowError):  # it goes on by now, or we may not look
        return None


def _text(pid: int, address: int) -> str:
    """Return the text at an address of a process, page by page, as the next one may not be there."""
    found = b""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while b"\0" not in found and len(found) < _LONGEST:
            at = address + len(found)
            if not (piece := os.pread(fd, _PAGE - at % _PAGE, at)):
                break
            found += piece
    finally:
        os.close(fd)
    return os.fsdecode(found.split(b"\0")[0])
