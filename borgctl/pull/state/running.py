"""Running: the call that a launcher makes to a target now, or that broke off as it was killed or the machine went down.

    STATE/NAME/running      what began, and when; empty once that has ended

Whoever writes the file holds the target's lock, and a lock on the file itself while the call goes on. That lock shows
whether the launcher lives. Readers take no lock, so reading never makes a target busy.

    with mark(folders, name, Begun("run", "default", now)): …
    seen(folders, name)                                            what began, and whether it goes on; or None
"""

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.data_class import asdict, dataclass
from borgctl.errors import BadValue
from borgctl.fs import atomic
from borgctl.pull.state.json_values import LATEST
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.values import JobName

KINDS = ("run", "hello", "window", "borg")
_LARGEST = 1000
_LOCK = "@hhqqi0q"  # struct flock (fcntl(2)): type, whence, start, length, pid
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that has begun at `time` (seconds since the epoch); `job` is None but for a run."""

    kind: str
    job: str | None
    time: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What began; `alive`: its launcher still runs."""

    begun: Begun
    alive: bool


@contextmanager
def mark(folders: Folders, name: TargetName, begun: Begun) -> Iterator[str | None]:
    """Mark a call as going on until it ends in order; the caller holds the target's lock.

    Where the mark cannot be written the call goes on all the same, and `with` gives the error, else None.
    """
    path = folders.running(name)
    try:
        fd = _begin(path, begun)
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    try:
        yield None
        os.ftruncate(fd, 0)  # not after an exception: then the call broke off
    finally:
        os.close(fd)


def clear(folders: Folders, name: TargetName) -> None:
    """Delete the mark of what broke off; the caller holds the target's lock, and has saved it elsewhere."""
    with contextlib.suppress(OSError):
        os.truncate(folders.running(name), 0)


def seen(folders: Folders, name: TargetName) -> Seen | None:
    """Return what began and has not ended; raise OSError where that cannot be read."""
    try:
        fd = os.open(folders.running(name), os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    try:
        while True:
            before, alive, after = _read(fd), _alive(fd), _read(fd)
            if before == after:  # else it began or ended meanwhile
                return None if before is None else Seen(before, alive)
    finally:
        os.close(fd)


def _begin(path: str, begun: Begun) -> int:
    """Write the mark to disk; return the descriptor that holds the lock."""
    atomic.directories(os.path.dirname(path))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK))
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(begun)).encode("ascii"), 0)
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
        os.close(fd)
        raise
    return fd


def _alive(fd: int) -> bool:
    """Tell whether a process holds the lock (fcntl(2), F_OFD_GETLK)."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK))
    return bool(struct.unpack(_LOCK, answer)[0] != fcntl.F_UNLCK)


def _lock(kind: int) -> bytes:
    return struct.pack(_LOCK, kind, os.SEEK_SET, 0, 0, 0)


def _read(fd: int) -> Begun | None:
    """Read the mark; None where there is none, or none that is whole."""
    try:
        match json.loads(os.pread(fd, _LARGEST, 0).decode("ascii")):
            case {"kind": str(kind), "job": str() | None as job, "time": int() | float() as time} if (
                kind in KINDS and type(time) is not bool and 0 <= time < LATEST
            ):
                return Begun(kind, job and str(JobName(job)), time)
    except (ValueError, RecursionError, BadValue):
        pass
    return None
