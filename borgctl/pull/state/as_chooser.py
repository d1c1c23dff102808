"""As chooser: look at what a folder holds with no more rights than those of the user who can choose that.

Root may look at files of the user that runs the launcher. SQLite writes where it only reads: it plays back a journal
that lies beside the file, and deletes another file that the journal names. So root does this as that user.

    with as_chooser("/var/lib/borgpull/history.db"): …       seteuid(2), where we are root and the folder is not root's
    chooser("/var/lib/borgpull/history.db")                  990
"""

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_MOST_LINKS = 40


def chooser(path: str) -> int:
    """Return the user, besides root, who can choose what is at an absolute path; 0 where root alone can.

    It is the owner of the first component that is not root's: nobody else can put another one in its place. What they
    let lie behind it just now does not matter. Raise OSError where a component is missing.
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
    user = chooser(path) if os.geteuid() == 0 else 0
    if user == 0:
        yield
        return
    own = os.getegid(), os.getgroups()
    os.setgroups([])
    try:
        os.setegid(_group(user))
        os.seteuid(user)
        yield
    finally:
        os.seteuid(0)
        os.setegid(own[0])
        os.setgroups(own[1])


def _group(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user
