"""As chooser: look at what a folder holds with no more rights than those of the user who can choose that.

Root may look at files of the user that runs the launcher. SQLite writes where it only reads: it plays back a journal
that lies beside the file, and deletes another file that the journal names. So root does this as that user.

    with as_chooser("/var/lib/borgpull"): …       seteuid(2), where we are root and the folder is not root's
    chooser("/var/lib/borgpull")                  990
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.fs.secure_path import InsecurePath, others_may_replace
from borgctl.process.effective_user import acting_as

_MOST_LINKS = 40


def chooser(path: str) -> int:
    """Return the user, besides root, who can choose what is at an absolute path; 0 where root alone can.

    It is the owner of the first component that is not root's: nobody else can put another one in its place. What they
    let lie behind it just now does not matter. Raise OSError where a component is missing, and InsecurePath where a
    directory of root's lets others replace what is in it: then nobody knows whose choice it is.
    """
    walked, waiting, links = "/", path.split("/")[::-1], 0
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if name == "..":
            walked = os.path.dirname(walked)
            continue
        place = os.path.join(walked, name)
        status = os.lstat(place)
        if status.st_uid != 0:
            return status.st_uid
        if not stat.S_ISLNK(status.st_mode):
            if stat.S_ISDIR(status.st_mode) and others_may_replace(status):
                raise InsecurePath(f"others may replace what is in {place!r}: chmod go-w {place}")
            walked = place
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(place)
        waiting += target.split("/")[::-1]
        walked = "/" if target.startswith("/") else walked
    return 0


@contextmanager
def as_chooser(path: str) -> Iterator[None]:
    """Have root be the user who can choose what is at this path, within the block; nothing changes for others."""
    with acting_as(chooser(path) if os.geteuid() == 0 else 0):
        yield
