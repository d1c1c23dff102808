"""borg's lock of its own cache, and an end to what a borg that was killed has left of it.

The lock is a directory `lock.exclusive` with a file HOST.PID-THREAD, and a file `lock.roster` that names the same
(borg/locking.py). borg takes a lock whose process is gone; where another process has its number by now, it waits, and
fails. Who holds the run lock of the repository knows that no borg of ours is at its cache, whatever the number says.
Locks of other hosts stay: the base is not ours alone then, or was another machine's.

    release(base, identity, "borgctl@3f…")
"""

import contextlib
import os

from borgctl.fs.chown_tree import inside

_LONGEST = 1 << 20  # bytes of a roster


def release(base: int, identity: str, host: str) -> int:
    """Remove this host's locks of the repository's cache; return their number. Raise OSError."""
    with inside(base, "borg", ".cache", "borg", identity) as cache:
        if cache is None:
            return 0
        freed, others = _exclusive(cache, host)
        if not others and _only(cache, host):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink("lock.roster", dir_fd=cache)
    return freed


def _exclusive(cache: int, host: str) -> tuple[int, bool]:
    """Empty the lock of our own, and remove it where nothing is left; tell whether something is."""
    with inside(cache, "lock.exclusive") as lock:
        if lock is None:
            return 0, False
        names = os.listdir(lock)
        ours = [name for name in names if name.startswith(f"{host}.")]
        for name in ours:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=lock)
    if len(ours) == len(names):
        with contextlib.suppress(OSError):
            os.rmdir("lock.exclusive", dir_fd=cache)
    return len(ours), len(ours) < len(names)


def _only(cache: int, host: str) -> bool:
    """Tell whether the roster names no other host."""
    try:
        fd = os.open("lock.roster", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=cache)
    except OSError:
        return False
    try:
        text = os.read(fd, _LONGEST)
    finally:
        os.close(fd)
    return b'"' not in text.replace(f'"{host}"'.encode(), b"").replace(b'"exclusive"', b"").replace(b'"shared"', b"")
