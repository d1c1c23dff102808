"""borg's lock of a repository, and an end to what dead processes of this launcher have left in it.

The lock is a directory `lock.exclusive` with a file HOST.PID-THREAD, and a JSON file `lock.roster` of
[HOST, PID, THREAD], which is read and written by whoever holds the former (borg/locking.py). HOST is what borg serve
was given as BORG_HOST_ID. borg removes the locks of dead processes itself where it can tell; where another program has
the number by now, it cannot. Only entries of `host` are looked at, and each is removed by its own name, so that a lock
that somebody takes meanwhile stays.

    release("/srv/borg/web1", "borgpull@3f…", lives)      # returns how many were removed
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

_LARGEST = 1 << 20  # bytes of a roster
_OURS = "b0b"  # the thread's number in a lock of the launcher itself; borg's own is 0


def release(repository: str, host: str, lives: Callable[[int], bool]) -> int:
    """Remove the locks of processes of `host` that do not live; return their number."""
    return _exclusive(repository, host, lives) + _shared(repository, host, lives)


def _exclusive(repository: str, host: str, lives: Callable[[int], bool]) -> int:
    path, freed = f"{repository}/lock.exclusive", 0
    for name in _listed(path):
        if _dead(name, host, lives):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}/{name}")
                freed += 1
    if freed:
        with contextlib.suppress(OSError):  # taken by somebody else, or gone
            os.rmdir(path)
    for name in _listed(repository):  # a lock on its way to its place
        if re.fullmatch(r"lock\.exclusive\.[A-Za-z0-9_]+\.tmp", name):
            inside = _listed(f"{repository}/{name}")
            if inside and all(_dead(entry, host, lives) for entry in inside):
                shutil.rmtree(f"{repository}/{name}", ignore_errors=True)
    return freed


def _dead(name: str, host: str, lives: Callable[[int], bool]) -> bool:
    match = re.fullmatch(rf"{re.escape(host)}\.([0-9]{{1,10}})-([0-9a-f]{{1,16}})", name)
    return match is not None and not (match[2] == _OURS or lives(int(match[1])))


def _shared(repository: str, host: str, lives: Callable[[int], bool]) -> int:
    """Take the dead out of the roster, under the lock that borg would take for it; later where somebody has that."""
    if not _dead_entries(_roster(repository), host, lives):
        return 0
    with contextlib.suppress(OSError):
        made = tempfile.mkdtemp(".tmp", "lock.exclusive.", repository)
        name = f"{host}.{os.getpid()}-{_OURS}"
        try:
            os.close(os.open(f"{made}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            os.rename(made, f"{repository}/lock.exclusive")  # fails where that has something in it
            made = f"{repository}/lock.exclusive"
            roster = _roster(repository)
            dead = _dead_entries(roster, host, lives)
            kept = {kind: [entry for entry in entries if entry not in dead] for kind, entries in roster.items()}
            with open(f"{repository}/lock.roster.new", "w", encoding="utf-8") as file:
                json.dump(kept, file)
            os.rename(f"{repository}/lock.roster.new", f"{repository}/lock.roster")
            return len(dead)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(f"{repository}/lock.roster.new")
            with contextlib.suppress(OSError):
                os.unlink(f"{made}/{name}")
            with contextlib.suppress(OSError):
                os.rmdir(made)
    return 0


def _dead_entries(roster: dict[str, list[Any]], host: str, lives: Callable[[int], bool]) -> list[Any]:
    return [
        entry
        for entries in roster.values()
        for entry in entries
        if isinstance(entry, list)
        and len(entry) == 3
        and entry[0] == host
        and isinstance(entry[1], int)
        and not lives(entry[1])
    ]


def _roster(repository: str) -> dict[str, list[Any]]:
    """Return the roster; empty where there is none, or none that borg would understand."""
    try:
        with open(f"{repository}/lock.roster", encoding="utf-8") as file:
            roster = json.loads(file.read(_LARGEST))
    except (OSError, ValueError):
        return {}
    good = isinstance(roster, dict) and all(isinstance(entries, list) for entries in roster.values())
    return roster if good else {}


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
