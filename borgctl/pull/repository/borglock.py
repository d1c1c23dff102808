"""borg's lock of a repository: read it, hold it, and remove what dead processes of this launcher left in it.

The lock is a directory `lock.exclusive` with a file HOST.PID-THREAD, and a JSON file `lock.roster` of
[HOST, PID, THREAD], which is read and written by whoever holds the former (borg/locking.py). HOST is what borg serve
got as BORG_HOST_ID. borg removes the locks of dead processes itself, but not where another program has their number by
now. Only entries of `host` are looked at. Each is removed by its own name, so that a lock that another process takes
meanwhile stays.

    release("/srv/borg/web1", "borgpull@3f…", lives)      # returns how many were removed
    sweep("/srv/borg/web1", "borgpull@3f…")               # remove unfinished drafts
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from borgctl.fs import atomic

_LARGEST = 1 << 20  # bytes of a roster
_OURS = "b0b"  # the thread's number in a lock of the launcher itself; borg's own is 0


def release(repository: str, host: str, lives: Callable[[int], bool]) -> int:
    """Remove the locks of processes of `host` that do not live; return their number."""
    return _exclusive(repository, host, lives) + _shared(repository, host, lives)


def _exclusive(repository: str, host: str, lives: Callable[[int], bool]) -> int:
    path, freed = f"{repository}/lock.exclusive", 0
    for name in listed(path):
        if _dead(name, host, lives):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}/{name}")
                freed += 1
    if freed:
        with contextlib.suppress(OSError):  # another process took it, or it is gone
            os.rmdir(path)
    for name in listed(repository):  # a lock that is being made
        if re.fullmatch(r"lock\.exclusive\.[A-Za-z0-9_]+\.tmp", name):
            inside = listed(f"{repository}/{name}")
            if inside and all(_dead(entry, host, lives) for entry in inside):
                import shutil  # noqa: PLC0415 - seldom needed

                shutil.rmtree(f"{repository}/{name}", ignore_errors=True)
    return freed


def _dead(name: str, host: str, lives: Callable[[int], bool]) -> bool:
    match = re.fullmatch(rf"{re.escape(host)}\.([0-9]{{1,10}})-([0-9a-f]{{1,16}})", name)
    if match is None:
        return False
    return not (_launcher(int(match[1])) if match[2] == _OURS else lives(int(match[1])))


def _launcher(pid: int) -> bool:
    """Tell whether a process that holds a lock of the launcher's may be one: it lives, and its user is ours.

    borg never removes a lock with another thread's number than its own, so nobody else would remove this one.
    """
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def _shared(repository: str, host: str, lives: Callable[[int], bool]) -> int:
    """Remove dead processes from the roster; not now where another process has the lock."""

    def dead(entry: list[Any]) -> bool:
        return entry[0] == host and not lives(entry[1])

    return strike(repository, host, dead)


def strike(repository: str, host: str, gone: Callable[[list[Any]], bool]) -> int:
    """Remove those entries, [HOST, PID, THREAD] each, from the roster; return their number, 0 while it is locked."""
    if not _chosen(roster(repository), gone):
        return 0
    with _held(repository, host) as ours:
        now = roster(repository)
        chosen = _chosen(now, gone)
        if not ours or not chosen:
            return 0
        remaining = {kind: [entry for entry in entries if entry not in chosen] for kind, entries in now.items()}
        path = f"{repository}/lock.roster"
        try:
            old = os.stat(path)  # whoever could write it can go on to
            owner = old if os.geteuid() == 0 else None
            atomic.replace(path, json.dumps(remaining).encode("ascii"), mode=old.st_mode & 0o777, owner=owner)
        except (OSError, RecursionError):
            return 0
        return len(chosen)


def sweep(repository: str, host: str) -> None:
    """Remove drafts of small files that a killed borg serve left; only the holder of the lock writes those."""
    drafts = [name for name in listed(repository) if re.fullmatch(r"(?:nonce|config)-[A-Za-z0-9_]{8}\.tmp", name)]
    if drafts:
        with _held(repository, host) as ours:
            for name in drafts if ours else ():
                with contextlib.suppress(OSError):
                    os.unlink(f"{repository}/{name}")


@contextmanager
def alone(repository: str, host: str) -> Iterator[bool]:
    """Hold borg's exclusive lock; False where another process has it, or a shared one."""
    with _held(repository, host) as ours:
        yield ours and not roster(repository).get("shared")


@contextmanager
def _held(repository: str, host: str) -> Iterator[bool]:
    """Hold borg's exclusive lock, made as borg makes it; False where another process has it, or it cannot be made."""
    import tempfile  # noqa: PLC0415 - seldom needed

    name = f"{host}.{os.getpid()}-{_OURS}"
    place = None
    try:
        place = tempfile.mkdtemp(".tmp", "lock.exclusive.", repository)
        os.close(os.open(f"{place}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.rename(place, f"{repository}/lock.exclusive")  # fails where that has something in it
        place = f"{repository}/lock.exclusive"
        ours = True
    except OSError:
        ours = False
    try:
        yield ours
    finally:
        if place is not None:
            with contextlib.suppress(OSError):
                os.unlink(f"{place}/{name}")
            with contextlib.suppress(OSError):
                os.rmdir(place)


def _chosen(now: dict[str, list[Any]], gone: Callable[[list[Any]], bool]) -> list[Any]:
    return [entry for entries in now.values() for entry in entries if _is_entry(entry) and gone(entry)]


def entries(repository: str, kind: str) -> list[list[Any]]:
    """Return the roster's entries of a kind, `shared` or `exclusive`: [HOST, PID, THREAD] each."""
    return [entry for entry in roster(repository).get(kind, []) if _is_entry(entry)]


def _is_entry(entry: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str) and type(entry[1]) is int


def roster(repository: str) -> dict[str, list[Any]]:
    """Return the roster; empty where there is none, or none that borg would understand."""
    try:
        with open(f"{repository}/lock.roster", encoding="utf-8") as file:
            roster = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    good = isinstance(roster, dict) and all(isinstance(entries, list) for entries in roster.values())
    return roster if good else {}


def listed(path: str) -> list[str]:
    """Return the names in a directory; none where it is not there."""
    try:
        return os.listdir(path)
    except OSError:
        return []
