"""Plain file: read a regular file, where somebody else may have put something in its place.

A FIFO would hold the reader up for ever, and a device would never end; the opening alone of some arms a watchdog, or
rewinds a tape. So a file is looked at (O_PATH), and opened only where it is regular.

    read("/var/lib/borgpull/web1/state.json", 1 << 20)
"""

import errno
import os
import stat


def read(path: str, most: int, *, at: int | None = None, follow: bool = False) -> bytes:
    """Return the content of a file below the directory `at`; `follow` symlinks.

    Raise OSError as open(2) does, EINVAL where this is no regular file, and EFBIG above `most` bytes.
    """
    with open(descriptor(path, at=at, follow=follow), "rb") as file:
        data = file.read(most + 1) or b""  # None where it would wait, as some of /proc do
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data


def descriptor(path: str, *, at: int | None = None, follow: bool = False) -> int:
    """Open a file below the directory `at` to read it, whatever its size; `follow` symlinks. The caller closes it.

    Raise OSError as open(2) does, and EINVAL where this is no regular file.
    """
    pinned = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), dir_fd=at)
    try:
        if not stat.S_ISREG(os.fstat(pinned).st_mode):
            raise OSError(errno.EINVAL, "no regular file", path)
        return os.open(f"/proc/self/fd/{pinned}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(pinned)
