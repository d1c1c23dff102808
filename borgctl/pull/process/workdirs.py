"""Rooms: one private directory below STATE/run for each launcher that is alive, and an end for those of dead ones.

A launcher keeps the file `owner` of its room locked; a room whose owner nobody locks is a dead launcher's. What still
runs in such a room (its TMPDIR is the room, as in `serve.environment`) is ended first, then the room is removed. A
living launcher's room is never touched, nor what runs in it. This module does not know what a program is for.

    with room(folders) as path: …           # 0700, gone afterwards
    lives(folders, pid)                     # is this process one that a launcher of ours started?
"""

import contextlib
import fcntl
import os
import re
import secrets
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.fs import atomic
from borgctl.pull.targets.paths import Folders, host_id

PATIENCE = 10.0  # seconds from TERM to KILL, and from KILL to giving up
_LARGEST = 1 << 20  # bytes of an environment


@contextmanager
def room(folders: Folders) -> Iterator[str]:
    """Hold a private directory below STATE/run, after clearing those of launchers that are gone."""
    parent = _parent(folders)
    atomic.directories(parent)
    path = f"{parent}/{secrets.token_hex(4)}"
    with _alone(parent):
        for name in os.listdir(parent):
            _clear(f"{parent}/{name}")
        os.mkdir(path, 0o700)
        owner = os.open(f"{path}/owner", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        with _alone(parent):  # or somebody who clears would be at it at the same time
            shutil.rmtree(path, ignore_errors=True)
        os.close(owner)


def lives(folders: Folders, pid: int) -> bool:
    """Tell whether `pid` runs now, in a room of these folders, and knows the name that only our own borg is given.

    A program like sudo(8) becomes our user with an environment of another user's; that user can see where rooms are,
    and not what `host_id` is.
    """
    found = _variables(pid)
    return found.get("TMPDIR", "").startswith(f"{_parent(folders)}/") and found.get("BORG_HOST_ID") == host_id(folders)


def _parent(folders: Folders) -> str:
    """Return where rooms are, by the one name that all launchers with this state use: others may come by a symlink."""
    return f"{os.path.realpath(folders.state)}/run"


@contextmanager
def _alone(parent: str) -> Iterator[None]:
    """Hold the lock under which rooms come and go."""
    held = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _clear(path: str) -> None:
    """Remove a room if nobody holds its owner file; a room without one was left half made, or half removed."""
    try:
        owner = os.open(f"{path}/owner", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        owner = None
    try:
        if owner is not None:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _ended(path):
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        if owner is not None:
            os.close(owner)


def _ended(path: str) -> bool:
    """End what still runs in a dead launcher's room; return False where something will not go, not even now."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + PATIENCE
        for pidfd in _inhabitants(path):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)  # a stopped one would not hear it
            select.select([pidfd], [], [], max(0.0, end - time.monotonic()))
            os.close(pidfd)
    left = list(_inhabitants(path))
    for pidfd in left:
        os.close(pidfd)
    return not left


def _inhabitants(path: str) -> Iterator[int]:
    """Yield a pidfd of each process whose TMPDIR is the room, by then checked to be that very process."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or _place(int(name)) != path:
            continue
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(int(name))
            if _place(int(name)) == path:
                yield pidfd
            else:
                os.close(pidfd)


def _place(pid: int) -> str:
    """Return the TMPDIR that a process of our own user was started with, "" for any other process."""
    return _variables(pid).get("TMPDIR", "")


def _variables(pid: int) -> dict[str, str]:
    """Return what a process of our own user was started with (proc(5)); nothing where it is anybody else's.

    Whoever starts a program chooses its environment, so that is believed only of a process whose four user ids are
    ours. The owner of /proc/PID/environ does not tell: a process that cannot be dumped has root for that. All is read
    through one descriptor, which stays with this process, whoever has its number next.
    """
    found: dict[str, str] = {}
    try:
        process = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return found
    try:
        users = re.search(rb"(?m)^Uid:((?:\s+[0-9]+){4})$", _content(process, "status"))
        if users and {int(uid) for uid in users[1].split()} == {os.geteuid()}:
            for variable in _content(process, "environ").split(b"\0"):
                name, _, value = variable.partition(b"=")
                found.setdefault(os.fsdecode(name), os.fsdecode(value))
    except OSError:
        return {}
    finally:
        os.close(process)
    return found


def _content(process: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process), "rb") as file:
        return file.read(_LARGEST)
