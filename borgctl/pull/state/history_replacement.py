"""History replacement: put a damaged history aside, and a new one in its place.

    STATE/history.db.broken-20261130T023000   one that could not be read; the last few are kept
    STATE/history.db.lock                     held while one takes the place of another

It does not know what is in the file, nor what is wrong with it.

    name = replace(folders, identity(folders), content)      "history.db.broken-20261130T023000"
"""

import contextlib
import fcntl
import itertools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from borgctl.fs import atomic
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders

Identity = tuple[int, int] | None

FILES = ("-wal", "-shm", "")  # in the order in which they go aside: no new file meets an old log
PATIENCE = 2.0  # seconds for which another launcher is waited for
MOST_BROKEN = 3
_BROKEN = re.compile(r"history\.db\.broken-([0-9]{8}T[0-9]{6}(?:-[0-9]+)?)(?:-wal|-shm)?")


class HistoryUnusable(PullError):  # noqa: N818 - reads as what it says where it is caught
    """The history cannot be used, and no backup is the worse for it."""


def identity(folders: Folders) -> Identity:
    """Return which file it is, None where there is none."""
    try:
        status = os.lstat(folders.history)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def replace(folders: Folders, seen: Identity, content: Callable[[], bytes]) -> str | None:
    """Put a new file in the place of the one that was seen, if that still is there; return the old one's name now.

    A new one appears whole, so nobody ever meets half of it.
    """
    atomic.directories(folders.state)
    with _lock(folders):
        if identity(folders) != seen:
            return None  # another launcher was first
        name = _put_aside(folders)
        try:
            atomic.create(folders.history, content())
        except OSError as error:
            moved = f" (the old one, which was damaged, is {name} now)" if name else ""
            raise HistoryUnusable(f"{folders.history}: {error.strerror}{moved}") from None
    return name


def _put_aside(folders: Folders) -> str | None:
    """Rename what is there, whatever it is; remove the oldest of those put aside. Return the new name of the file."""
    there = [end for end in FILES if os.path.lexists(f"{folders.history}{end}")]
    if not there:
        return None
    aside: dict[str, list[str]] = {}
    for file in os.listdir(folders.state):
        if match := _BROKEN.fullmatch(file):
            aside.setdefault(match[1], []).append(file)
    for date in sorted(aside)[: max(0, len(aside) - MOST_BROKEN + 1)]:
        for file in aside[date]:
            _remove(f"{folders.state}/{file}")
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%S")
    date = next(
        name for number in itertools.count(1) if (name := f"{now}-{number}" if number > 1 else now) not in aside
    )
    for end in there:
        os.rename(f"{folders.history}{end}", f"{folders.history}.broken-{date}{end}")
    return f"history.db.broken-{date}" if "" in there else None


def _remove(path: str) -> None:
    """Remove a file, a link or an empty directory: what somebody keeps in a directory there is not ours."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)


@contextmanager
def _lock(folders: Folders) -> Iterator[None]:
    """Be the only one who replaces the file; raise HistoryUnusable where another one takes too long."""
    holder = os.open(f"{folders.history}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise HistoryUnusable(f"{folders.history}: another borgpull replaces it") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(holder)
