"""The audit log: one JSON object a line, on disk before anything runs.

No record, no run: whatever keeps a record from the disk is an error. A record holds what a peer sent only as escaped,
capped text. This module knows the log's file, not what a policy says.

    log = Log.open("/var/log/borgctl/audit.jsonl", syslog=True)
    log.append({"type": "accept", "run": "3f2a…", …})
"""

import errno
import fcntl
import json
import os
import stat
import syslog
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from borgctl.custody import Pinned, Unsafe, directory
from borgctl.errors import BorgctlError

LARGEST = 16 * 1024  # bytes of one record
_LONGEST_TEXT = 1024
_MOST_ITEMS = 256
_PATIENCE = 10.0  # seconds: an append takes a few milliseconds


@dataclass(frozen=True, slots=True)
class Log:
    """An open audit log; `fd` is None where records go to syslog alone."""

    fd: int | None
    syslog: bool

    @classmethod
    def open(cls, path: str, *, syslog: bool) -> "Log":
        """Open the log, making it (0600) and up to two directories (0700); raise BorgctlError where it is not safe."""
        try:
            with directory(os.path.dirname(path), missing=2) as above:
                name = os.path.basename(path)
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                fd = os.open(name, flags, 0o600, dir_fd=above.fd)
            return cls(_checked(fd, path), syslog)
        except (OSError, Unsafe) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            raise BorgctlError("log-unusable", f"{path!r}: {text}") from None

    @classmethod
    def fallback(cls, path: str) -> "Log":
        """Return the log for a policy that cannot be read: the usual file if its directory is there, and syslog."""
        try:
            with Pinned.at(os.path.dirname(path)):
                return cls.open(path, syslog=True)
        except (OSError, Unsafe, BorgctlError):
            return cls(None, syslog=True)

    def append(self, record: dict[str, Any]) -> None:
        """Write one record and wait until it is on disk; raise BorgctlError where that fails."""
        line = render(record)
        if self.syslog:
            syslog.openlog("borgctl", syslog.LOG_PID, syslog.LOG_AUTH)
            syslog.syslog(syslog.LOG_INFO, line)
        if self.fd is None:
            return
        try:
            _write(self.fd, line.encode("ascii") + b"\n")
        except OSError as error:
            raise BorgctlError("log-unusable", f"the audit log: {error.strerror}") from None


def _checked(fd: int, path: str) -> int:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid not in (0, os.geteuid()):
        os.close(fd)
        raise Unsafe(f"{path!r} is not a regular file of ours with one link")
    if status.st_mode & 0o022:
        os.close(fd)
        raise Unsafe(f"{path!r} has mode {stat.S_IMODE(status.st_mode):04o}: others may write it")
    return fd


def _write(fd: int, line: bytes) -> None:
    """Append whole or not at all; a torn line of a killed writer is ended first."""
    _lock(fd)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = b"\n" + line
        try:
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN)


def _lock(fd: int) -> None:
    """Wait for the lock, but not for ever.

    lockf(3), as it needs a descriptor for writing: whoever may only read the log could hold a flock(2) on it.
    """
    end = time.monotonic() + _PATIENCE
    while not _locked(fd):
        if time.monotonic() > end:
            raise OSError(errno.EAGAIN, "another process keeps it locked")
        time.sleep(0.005)


def _locked(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def render(record: dict[str, Any]) -> str:
    """Return the record's line: ASCII, in the given order after the time, never longer than LARGEST.

    A program that uses structlog's JSONRenderer would write the same.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": now, **{key: _capped(value) for key, value in record.items()}})
    if len(line) >= LARGEST:
        kept = {key: value for key, value in record.items() if isinstance(value, (int, str, type(None)))}
        line = json.dumps({"time": now, **{key: _capped(value) for key, value in kept.items()}, "cut": True})
    return line


def _capped(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        kept = value[:_LONGEST_TEXT]
        while len(json.dumps(kept)) > _LONGEST_TEXT + 2:  # in ASCII, a character may take twelve
            kept = kept[: len(kept) * 3 // 4]
        return value if kept == value else f"{kept}… ({len(value)} characters)"
    if isinstance(value, (list, tuple)):
        return [_capped(item) for item in value[:_MOST_ITEMS]]
    if isinstance(value, dict):
        return {key: _capped(item) for key, item in value.items()}
    return value
