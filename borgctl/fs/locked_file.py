"""Open a file of ours in an open directory, and lock it.

It knows owners, modes and locks, not what a file is for.

    with locked(directory, "audit.jsonl.head") as fd: …
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from borgctl.fs.secure_path import InsecurePath

_PATIENCE = 10.0  # seconds; a holder needs a few milliseconds
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextlib.contextmanager
def own_file(above: int, name: str, more: int = 0) -> Iterator[int]:
    """Open a file of ours in a directory, making it (0600); raise InsecurePath where others own or may write it."""
    fd = os.open(name, _FLAGS | more, 0o600, dir_fd=above)
    try:
        require_own(os.fstat(fd), name)
        yield fd
    finally:
        os.close(fd)


def require_own(status: os.stat_result, name: str) -> None:
    """Raise InsecurePath where a file is not regular, has a second link, or where others own or may write it."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid not in (0, os.geteuid()):
        raise InsecurePath(f"{name!r} is not a regular file of ours with one link")
    if status.st_mode & 0o022:
        raise InsecurePath(f"{name!r} has mode {stat.S_IMODE(status.st_mode):04o}: others may write it")


@contextlib.contextmanager
def locked(above: int, name: str) -> Iterator[int]:
    """Hold the lock on a file, waiting for it up to 10 seconds; raise InsecurePath or OSError.

    It uses lockf(3): flock(2) would let anybody who may read the file hold our lock. A reader can still block us with
    a shared lock (fcntl(2) F_RDLCK), and a gate that cannot write its record runs nothing. So nobody else may read it.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        with own_file(above, name) as fd:
            if os.fstat(fd).st_mode & 0o077 and os.fstat(fd).st_uid == os.geteuid():
                os.fchmod(fd, 0o600)
            while not _try_lock(fd):
                if time.monotonic() > end:
                    raise OSError(errno.EAGAIN, "another process keeps it locked")
                time.sleep(0.005)
            if _still_named(above, name, fd):
                yield fd
                return


def _still_named(above: int, name: str, fd: int) -> bool:
    """Tell whether the name still leads to this file: it may have been removed while we waited."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=above, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False


def _try_lock(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
