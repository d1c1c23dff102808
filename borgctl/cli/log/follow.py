"""New lines of a growing log, by its name: across a rotation by rename, and across copying and truncating.

for line in Follower("/var/log/borgctl/audit.jsonl").lines(): …
"""

import os
import time
from collections.abc import Iterator

from borgctl.audit import rotation

_POLL = 0.3  # seconds
_MARK = 500  # bytes before our position: in a log, no two such are equal


class Follower:
    """New lines of a log, across rotations; `lines` never ends, `ready` yields those that exist now."""

    def __init__(self, path: str) -> None:
        """Begin at the present end."""
        self._path, self._rest, self._mark = path, b"", b""
        self._fd = self._open()
        self._at = os.fstat(self._fd).st_size if self._fd is not None else 0
        if self._fd is not None:
            self._mark = os.pread(self._fd, _MARK, max(0, self._at - _MARK))

    def _open(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None

    def ready(self) -> Iterator[bytes]:
        """Yield the whole lines that were added since the last call."""
        yield from self._new()
        if self._moved():
            yield from self._new()  # what was added between the two calls
            if self._fd is not None:
                os.close(self._fd)
            self._fd, self._at, self._rest, self._mark = self._open(), 0, b"", b""
            yield from self._new()

    def _new(self) -> Iterator[bytes]:
        if self._fd is None:
            return
        if os.pread(self._fd, len(self._mark), self._at - len(self._mark)) != self._mark:  # copied and truncated
            self._at, self._rest, self._mark = 0, b"", b""
        while data := os.pread(self._fd, 65536, self._at):
            self._at, self._mark = self._at + len(data), data[-_MARK:]
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._rest = self._rest[: rotation.LONGEST]
            yield from whole

    def _moved(self) -> bool:
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return False
        return self._fd is None or not os.path.samestat(status, os.fstat(self._fd))

    def lines(self) -> Iterator[bytes]:
        """Yield lines as they come."""
        while True:
            yield from self.ready()
            time.sleep(_POLL)
