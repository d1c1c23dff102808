"""What a run holds: the lock of its repository, a place among the sessions, and a private directory.

    base/locks/     flock(2) files: one for each repository, for each session, for each run
    base/runs/RUN/  a run's private directory: the relay's socket and borg's TMPDIR

The kernel gives a lock back however its holder ends. What runs that were killed have left is removed by the next one.

    with lock_repository(base, path), run_directory(base, "3f…", uid, gid) as directory: …
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator

from borgctl.errors import BorgctlError
from borgctl.fs import atomic
from borgctl.fs.free_space import write_error
from borgctl.fs.remove_tree import remove_tree
from borgctl.state.pins import pinned_name
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

_OLD = 60.0  # seconds: to come from a lock to a directory takes a few milliseconds
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def lock_repository(base: StateDir, repository: RepositoryPath) -> Iterator[None]:
    """Hold the one lock of this repository; busy is an answer, not a wait."""
    fd = _try_lock(base, f"locks/{pinned_name(repository)}")
    if fd is None:
        raise BorgctlError("repository-busy", f"another run uses {repository.text!r}")
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def session(base: StateDir, most: int) -> Iterator[None]:
    """Hold one of `most` places for gates at work."""
    fds = (_try_lock(base, f"locks/session-{number}") for number in range(most))
    fd = next((fd for fd in fds if fd is not None), None)
    if fd is None:
        raise BorgctlError("sessions-full", f"{most} sessions of this policy are at work")
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def run_directory(base: StateDir, run: str, uid: int, gid: int) -> Iterator[str]:
    """Make a run's private directory, and in it `tmp` for this user; remove it and those of dead runs."""
    lock, path = _try_lock(base, f"locks/run-{run}"), f"{base.path}/runs/{run}"
    try:
        try:
            _sweep(base)
            os.mkdir(path, 0o700)
            os.mkdir(f"{path}/tmp", 0o700)
            os.chown(f"{path}/tmp", uid, gid)
        except OSError as error:
            raise write_error("base-unusable", base.path, error) from None
        yield path
    finally:
        _forget(base, run, lock)


def is_running(base: StateDir, run: str) -> bool:
    """Tell whether the gate of this run is at work; nothing is made, and no gate is kept from its lock."""
    try:
        fd = os.open(f"locks/run-{run}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base.fd)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _sweep(base: StateDir) -> None:
    """Remove what runs that were killed have left: those whose lock nobody holds, and names half made."""
    for run in os.listdir(f"{base.path}/runs"):
        fd = _try_lock(base, f"locks/run-{run}")
        if fd is not None:
            _forget(base, run, fd)
    for name in filter(re.compile("run-[0-9a-f]{16}").fullmatch, os.listdir(f"{base.path}/locks")):
        with contextlib.suppress(FileNotFoundError):
            _forget_old(base, f"locks/{name}")
    atomic.remove_drafts(base.fd)


def _forget_old(base: StateDir, name: str) -> None:
    """Remove the lock of a run that came to no directory, unless a gate may be at it now."""
    if time.time() - os.stat(name, dir_fd=base.fd, follow_symlinks=False).st_mtime > _OLD:
        fd = _try_lock(base, name)
        if fd is not None and not os.path.exists(f"{base.path}/runs/{name.removeprefix('locks/run-')}"):
            os.unlink(name, dir_fd=base.fd)
        if fd is not None:
            os.close(fd)


def _forget(base: StateDir, run: str, lock: int | None) -> None:
    remove_tree(base.fd, f"runs/{run}")
    if lock is not None:
        with contextlib.suppress(FileNotFoundError):  # another gate swept it too
            os.unlink(f"locks/run-{run}", dir_fd=base.fd)
        os.close(lock)


def _try_lock(base: StateDir, name: str) -> int | None:
    try:
        fd = os.open(name, _OPEN, 0o600, dir_fd=base.fd)
    except OSError as error:
        raise write_error("base-unusable", base.path, error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
