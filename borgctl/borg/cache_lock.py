"""Remove the lock that a killed borg left on its own cache.

The lock is a directory `lock.exclusive` with a file HOST.PID-THREAD, and a file `lock.roster` that names the same
(borg/locking.py). borg takes over a lock whose process has ended. Where another process has that number by now, borg
waits, and fails. Whoever holds the repository's run lock knows that no borg of ours uses the cache, whatever the number
says. Locks of other hosts stay: the base may be shared with another machine, or come from one.

    release(base, identity, "borgctl@3f…")
"""

import contextlib
import os

from borgctl.fs.chown_tree import subdirectory

_LONGEST = 1 << 20  # bytes of a roster


def release(base: int, identity: str, host: str) -> int:
    """Remove this host's locks on the repository's cache; return how many there were. Raise OSError."""
    with subdirectory(base, "borg", ".cache", "borg", identity) as cache:
        if cache is None:
            return 0
        freed, others = _remove_exclusive(cache, host)
        if not others and _only(cache, host):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink("lock.roster", dir_fd=cache)
    return freed


def _remove_exclusive(cache: int, host: str) -> tuple[int, bool]:
    """Remove our files from the lock, and the lock if it is empty; return their number, and whether files remain."""
    with subdirectory(cache, "lock.exclusive") as lock:
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
