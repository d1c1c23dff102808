"""Which file a program is at: the one that it has open for reading, as proc(5) shows it.

For a person who asks why a run did not come to an end: a sparse file of terabytes, a device, a file system that no
longer answers. Only names of descriptors are read, never a file, so that what hangs does not hang us. It does not know
borg.

    reading([pid], apart=["/var/lib/borgctl/web1"]) == "/home/alice/disk.img"
"""

import os
from collections.abc import Iterable, Sequence

_MOST = 4096  # descriptors of one process
_NO_DATA = ("/dev/null", "/dev/urandom", "/dev/random", "/proc/", "/sys/")


def reading(pids: Iterable[int], apart: Sequence[str]) -> str | None:
    """Return the file that one of the processes reads, else the deepest directory; None where there is none.

    What lies in one of the directories `apart` is the program's own, and no answer.
    """
    files: list[str] = []
    directories: list[str] = []
    for pid in pids:
        for path, directory in _opened(pid):
            if path.startswith("/") and not path.startswith((*_NO_DATA, *(f"{place}/" for place in apart))):
                (directories if directory else files).append(path)
    return files[-1] if files else max(directories, key=lambda path: path.count("/"), default=None)


def _opened(pid: int) -> Iterable[tuple[str, bool]]:
    """Yield what a process has open only to read, in the order of its descriptors, and whether it is a directory."""
    try:
        numbers = sorted(map(int, os.listdir(f"/proc/{pid}/fd")))[:_MOST]
    except (OSError, ValueError):  # it has gone, or we may not look
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
