"""Find a program that waits at a named pipe nobody writes to, as proc(5) shows it.

open(2) of a FIFO returns when somebody opens its other end, which may be never. This module does not touch the pipe:
to open it would let the program go on with an empty file. Where the kernel forbids a look, it finds nothing.

    watch = PipeWatch(lambda: [pid], seconds=60); watch.check() == "/srv/dumps/db.fifo"     # after a minute
"""

import os
import time
from collections.abc import Callable, Iterable

from borgctl.data_class import dataclass

_EVERY = 1.0  # seconds
_AT_A_FIFO = ("wait_for_partner", "fifo_open")  # fs/pipe.c
_PAGE, _LONGEST = 4096, 4096
# By number of the system call: which argument is the path, and which its directory (-1: none)
_OPENAT = {257: (1, 0)} if os.uname().machine == "x86_64" else {56: (1, 0)}
_CALLS = {437: (1, 0), **_OPENAT, **({2: (0, -1)} if os.uname().machine == "x86_64" else {})}
_HERE = 2**32 - 100  # AT_FDCWD


@dataclass(slots=True)
class PipeWatch:
    """Notice when one of these processes waits at the same pipe for `seconds`."""

    pids: Callable[[], Iterable[int]]
    seconds: float
    _path: str | None = None
    _since: float = 0.0
    _checked: float = 0.0

    def check(self) -> str | None:
        """Return the pipe once a process has waited that long, else None; call it often."""
        now = time.monotonic()
        if now - self._checked < _EVERY:
            return None
        self._checked, path = now, next((pipe for pid in self.pids() if (pipe := _pipe(pid))), None)
        if path != self._path:
            self._path, self._since = path, now
        return path if path and now - self._since >= self.seconds else None


def _pipe(pid: int) -> str | None:
    """Return the FIFO whose open(2) blocks a process, None where it does something else."""
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
    except (OSError, ValueError, KeyError, OverflowError):  # it has gone on, or the kernel forbids a look
        return None


def _text(pid: int, address: int) -> str:
    """Return the text at an address of a process, page by page, as the next page may be unmapped."""
    text = b""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while b"\0" not in text and len(text) < _LONGEST:
            at = address + len(text)
            if not (piece := os.pread(fd, _PAGE - at % _PAGE, at)):
                break
            text += piece
    finally:
        os.close(fd)
    return os.fsdecode(text.split(b"\0")[0])
