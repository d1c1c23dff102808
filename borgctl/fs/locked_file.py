"""A file of ours in a directory that we hold, and the lock on it.

It knows hands and locks, not what a file is for.

    with held(directory, "audit.jsonl.head") as fd: …
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from borgctl.fs.secure_path import InsecurePath

_PATIENCE = 10.0  # seconds: whoever holds it needs a few milliseconds
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextlib.contextmanager
def opened(above: int, name: str, more: int = 0) -> Iterator[int]:
    """Open a file of ours in a directory, making it (0600); raise InsecurePath where it is somebody else's as well."""
    fd = os.open(name, _FLAGS | more, 0o600, dir_fd=above)
    try:
        require_own(os.fstat(fd), name)
        yield fd
    finally:
        os.close(fd)


def require_own(status: os.stat_result, name: str) -> None:
    """Raise InsecurePath where a file is somebody else's as well."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid not in (0, os.geteuid()):
        raise InsecurePath(f"{name!r} is not a regular file of ours with one link")
    if status.st_mode & 0o022:
        raise InsecurePath(f"{name!r} has mode {stat.S_IMODE(status.st_mode):04o}: others may write it")


@contextlib.contextmanager
def held(above: int, name: str) -> Iterator[int]:
    """Hold the lock on a file, waiting but not for ever; raise InsecurePath or OSError.

    lockf(3), so that nobody who may only read the file can hold our lock, as with flock(2). He can still keep us from
    it, with a shared one (fcntl(2) F_RDLCK), so nobody else may read it: what is then not written is not done either.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        with opened(above, name) as fd:
            if os.fstat(fd).st_mode & 0o077 and os.fstat(fd).st_uid == os.geteuid():
                os.fchmod(fd, 0o600)
            while not _locked(fd):
                if time.monotonic() > end:
                    raise OSError(errno.EAGAIN, "another process keeps it locked")
                time.sleep(0.005)
            if _named(above, name, fd):
                yield fd
                return


def _named(above: int, name: str, fd: int) -> bool:
    """Tell whether the name still leads to this file: somebody may have removed it while we waited."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=above, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False


def _locked(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
