"""Plain file: read a small regular file whole, where something else may stand in its place.

A FIFO would hold the reader up for ever, a device would never end, and a symlink would lead to another file.

    read("/var/lib/borgpull/web1/state.json", 1 << 20)
"""

import errno
import os
import stat


def read(path: str, most: int) -> bytes:
    """Return the content; raise OSError as open(2) does, where this is no regular file, and above `most` bytes."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data
