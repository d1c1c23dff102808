"""Find the file that a program is reading: the one that it has open for that, as proc(5) shows it.

It tells an admin why a run did not end: a sparse file of terabytes, a device, a file system that no longer answers. It
looks at names of descriptors only, never at a file, which could hang us as well. It does not know borg.

    reading([pid], ignored=["/var/lib/borgctl/web1"]) == "/home/alice/disk.img"
"""

import os
from collections.abc import Iterable, Sequence

_MOST = 4096  # descriptors of one process
_NO_DATA = ("/dev/null", "/dev/urandom", "/dev/random", "/proc/", "/sys/")


def reading(pids: Iterable[int], ignored: Sequence[str]) -> str | None:
    """Return the file that one of the processes reads, else the deepest directory, else None.

    Files below the directories `ignored` are the program's own and do not count.
    """
    files: list[str] = []
    directories: list[str] = []
    for pid in pids:
        for path, directory in _opened(pid):
            if path.startswith("/") and not path.startswith((*_NO_DATA, *(f"{place}/" for place in ignored))):
                (directories if directory else files).append(path)
    return files[-1] if files else max(directories, key=lambda path: path.count("/"), default=None)


def _opened(pid: int) -> Iterable[tuple[str, bool]]:
    """Yield the paths that a process has open only to read, by descriptor, and whether each is a directory."""
    try:
        numbers = sorted(map(int, os.listdir(f"/proc/{pid}/fd")))[:_MOST]
    except (OSError, ValueError):  # it has ended, or the kernel forbids a look
        return
    for number in numbers:
        try:
            flags = _flags(f"/proc/{pid}/fdinfo/{number}")
            path = os.readlink(f"/proc/{pid}/fd/{number}")
        except (OSError, ValueError, StopIteration):
            continue
        if flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_PATH:
            yield path, bool(flags & os.O_DIRECTORY)


def _flags(path: str) -> int:
    with open(path, "rb") as file:
        return int(next(line for line in file if line.startswith(b"flags:")).split()[1], 8)
