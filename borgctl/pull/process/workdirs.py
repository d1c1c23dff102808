"""Workdirs: one private directory below STATE/run for each launcher that is alive; those of dead launchers are removed.

A launcher keeps the file `owner` in its workdir locked; where nobody locks it, the launcher is dead. What still runs in
such a workdir (its TMPDIR is the workdir, as in `serve.environment`) is ended, then the workdir is removed. A living
launcher's workdir is never touched, nor what runs in it. This module does not know what a program is for.

    with workdir(folders) as path: …           # 0700, gone afterwards
    lives(folders, pid)                     # is this process one that a launcher of ours started?
"""

import contextlib
import fcntl
import os
import re
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.fs import atomic
from borgctl.fs.remove_tree import remove_tree
from borgctl.pull.targets.paths import Folders, host_id

PATIENCE = 10.0  # seconds from TERM to KILL, and from KILL to giving up
_LARGEST = 1 << 20  # bytes of an environment


@contextmanager
def workdir(folders: Folders) -> Iterator[str]:
    """Hold a private directory below STATE/run, after clearing those of launchers that are gone."""
    parent = _parent(folders)
    atomic.directories(parent)
    path = f"{parent}/{os.urandom(4).hex()}"
    with _alone(parent) as held:
        for name in os.listdir(parent):
            _clear(f"{parent}/{name}", held)
        os.mkdir(path, 0o700)
        owner = os.open(f"{path}/owner", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        with _alone(parent) as held:  # or another launcher could clear it at the same time
            remove_tree(held, path)
        os.close(owner)


def lives(folders: Folders, pid: int) -> bool:
    """Tell whether `pid` runs in a workdir of these folders, and has the host name that only our own borg gets.

    A program like sudo(8) becomes our user with an environment that another user chose. That user can see the
    workdirs' paths, but not `host_id`.
    """
    environ = _variables(pid)
    inside = environ.get("TMPDIR", "").startswith(f"{_parent(folders)}/")
    return inside and environ.get("BORG_HOST_ID") == host_id(folders)


def _parent(folders: Folders) -> str:
    """Return where workdirs are, by the one path that all launchers with this state share, also through a symlink."""
    return f"{os.path.realpath(folders.state)}/run"


@contextmanager
def _alone(parent: str) -> Iterator[int]:
    """Hold the lock under which workdirs are made and removed; give the directory's descriptor."""
    held = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield held
    finally:
        os.close(held)


def _clear(path: str, parent: int) -> None:
    """Remove a workdir if nobody locks its owner file; one without that file was half made, or half removed."""
    try:
        owner = os.open(f"{path}/owner", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        owner = None
    try:
        if owner is not None:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _ended(path):
            remove_tree(parent, path)
    except BlockingIOError:
        pass
    finally:
        if owner is not None:
            os.close(owner)


def _ended(path: str) -> bool:
    """End what still runs in a dead launcher's workdir; return False where a process survives SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + PATIENCE
        for pidfd in _processes(path):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)  # a stopped one would not get it
            select.select([pidfd], [], [], max(0.0, end - time.monotonic()))
            os.close(pidfd)
    left = list(_processes(path))
    for pidfd in left:
        os.close(pidfd)
    return not left


def _processes(path: str) -> Iterator[int]:
    """Yield a pidfd of each process whose TMPDIR is the workdir; it is checked to be of that very process."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or _tmpdir(int(name)) != path:
            continue
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(int(name))
            if _tmpdir(int(name)) == path:
                yield pidfd
            else:
                os.close(pidfd)


def _tmpdir(pid: int) -> str:
    """Return the TMPDIR that a process of our own user was started with, "" for any other process."""
    return _variables(pid).get("TMPDIR", "")


def _variables(pid: int) -> dict[str, str]:
    """Return the environment of a process of our own user (proc(5)); nothing for anybody else's.

    Whoever starts a program chooses its environment, so it is believed only of a process whose four user ids are ours.
    The owner of /proc/PID/environ is not enough: for a process that cannot be dumped it is root. All is read through
    one descriptor, which stays with this process even if another one gets its number.
    """
    environ: dict[str, str] = {}
    try:
        process = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return environ
    try:
        users = re.search(rb"(?m)^Uid:((?:\s+[0-9]+){4})$", _content(process, "status"))
        if users and {int(uid) for uid in users[1].split()} == {os.geteuid()}:
            for variable in _content(process, "environ").split(b"\0"):
                name, _, value = variable.partition(b"=")
                environ.setdefault(os.fsdecode(name), os.fsdecode(value))
    except OSError:
        return {}
    finally:
        os.close(process)
    return environ


def _content(process: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process), "rb") as file:
        return file.read(_LARGEST)
