"""Space: does a repository's disk have space for one more session, and for the compact that may have to follow?

A session that filled the disk leaves segments that were never committed. The next one removes them, if it can start.

    missing_space("/srv/borg/web1", session)      None, or what is missing
    clear(folders, "/srv/borg/web1")        remove such segments, where the disk is full
"""

import contextlib
import os

from borgctl.pull.repository import borglock, transactions
from borgctl.pull.repository.reserve import reserve
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.targets.paths import Folders, host_id
from borgctl.text import size

_LEAST = 10_000_000  # bytes for locks, small files and a commit
_FULL = 100_000_000
_TINY = 100_000  # with less nobody can take a lock and write
_INDEX = 4  # borg wants space for so many more indices (borg/repository.py, check_free_space)

_JOBS = ("create", "init", "prune")  # the client's admin may try to delete, however little is left


def missing_space(repository: str, session: GuardSession) -> str | None:
    """Return why a session of this kind could commit nothing; None where there is space."""
    needed, left = _needed(repository, session), free(repository)
    if session.name not in _JOBS or needed is None or left is None or left >= needed:
        return None
    return f"{size(left)} free at {repository}, and a run needs {size(needed)} before it begins"


def last_room(repository: str, session: GuardSession) -> bool:
    """Tell whether a session may go on: half of the space that it needed to begin is still free."""
    needed, left = _needed(repository, session), free(repository)
    return needed is None or left is None or left >= needed // 2


def free(repository: str) -> int | None:
    """Return how many bytes are free; None where that is unknown."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(repository)
        return disk.f_bavail * disk.f_frsize
    return None


def full(repository: str) -> str | None:
    """Return that the disk is full, if so; a client's borg says it only in words of its own."""
    left = free(repository)
    return f"only {size(left)} free at {repository}" if left is not None and left < _FULL else None


def clear(folders: Folders, repository: str) -> None:
    """Remove segments that were never committed, as borg does before it writes; also where a lock finds no space."""
    with borglock.alone(repository, host_id(folders)) as ours:
        left = free(repository)
        if ours or (left is not None and left < _TINY and not os.path.lexists(f"{repository}/lock.exclusive")):
            for path in transactions.void(repository):
                with contextlib.suppress(OSError):
                    os.unlink(path)


def _needed(repository: str, session: GuardSession) -> int | None:
    """Return how many bytes must be free; None for a session that writes nothing."""
    if session.name not in (*_JOBS, "window-write", "window-delete"):
        return None
    number, index = transactions.last(repository), 0
    with contextlib.suppress(OSError):
        index = os.stat(f"{repository}/index.{number}").st_size
    return _LEAST + _INDEX * index + (0 if session.name == "prune" else reserve(repository))
