"""List the files that borg warned about, beside the audit log: one bounded file a run, of the newest MOST_RUNS runs.

    LOG.files/RUN      one JSON object a line: {"kind": "vanished", "text": "src/a: open: [Errno 2] …: 'a'"}

The lists are for the client's own people, so they have the log's owner, group and mode. A record says how many warnings
are listed. Nothing depends on these files: a full disk ends a list, not a run. This module does not know a warning.
"""

import contextlib
import json
import os
import re
import stat
from typing import BinaryIO, Self

from borgctl.data_class import dataclass

MOST_RUNS = 100
MOST_BYTES = 4 * 1024 * 1024  # of one run: 40,000 files
_LONGEST = 8 * 1024  # characters of a text: twice the longest path
_NAME = re.compile(r"[0-9a-f]{16}")


def place(log: str) -> str:
    """Return the name of the directory beside a log of this name."""
    return f"{log}.files"


@dataclass(slots=True)
class WarnedFiles:
    """The list of one run, made with its first warning; `above` is the directory of the log `name`."""

    above: int | None
    name: str
    run: str
    listed: int = 0
    room: int = MOST_BYTES
    _file: BinaryIO | None = None
    _given_up: bool = False

    def add(self, kind: str, text: str) -> None:
        """Add a warning, while there is room."""
        line = json.dumps({"kind": kind, "text": text[:_LONGEST]}).encode("ascii") + b"\n"
        if self.above is None or self._given_up or len(line) > self.room:
            self._given_up = True
            return
        try:
            self._file = self._file or self._make(self.above)
            self._file.write(line)
        except OSError:
            self._given_up = True
            return
        self.listed, self.room = self.listed + 1, self.room - len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Write the rest; if that fails, count nothing as listed."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                self.listed = 0

    def _make(self, above: int) -> BinaryIO:
        log = os.stat(self.name, dir_fd=above, follow_symlinks=False)
        with contextlib.suppress(FileExistsError):
            os.mkdir(place(self.name), 0o700, dir_fd=above)
        directory = os.open(place(self.name), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            _give(directory, log, executable=True)
            _prune(directory)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self.run, flags, 0o600, dir_fd=directory)
            _give(fd, log)
            return os.fdopen(fd, "wb")
        finally:
            os.close(directory)


def _give(fd: int, log: os.stat_result, *, executable: bool = False) -> None:
    """Let those read a file who may read the log."""
    mode = stat.S_IMODE(log.st_mode) & 0o644
    with contextlib.suppress(PermissionError):
        os.fchown(fd, log.st_uid, log.st_gid)
    os.fchmod(fd, mode | (mode & 0o444) >> 2 if executable else mode)


def _prune(directory: int) -> None:
    """Remove the oldest lists, so that there are less than MOST_RUNS."""
    times = {}
    for name in filter(_NAME.fullmatch, os.listdir(directory)):
        with contextlib.suppress(FileNotFoundError):
            times[name] = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
    for name in sorted(times, key=lambda name: times[name])[: max(0, len(times) - MOST_RUNS + 1)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
