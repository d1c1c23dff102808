"""borg's own directory, given to the user whom borg runs as.

Whoever had it before is trusted no more than a peer: nothing is followed, and a file that has another name or another
owner is left as it is. It does not know what is in it.
"""

import os
import stat


def hand_over(parent: int, name: str, uid: int, gid: int) -> None:
    """Give the directory `name` (below the descriptor `parent`) and all that is its owner's in it to `uid`, `gid`.

    The directory itself comes last, so that one that was interrupted is done again. Raise OSError.
    """
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        owner = os.fstat(fd).st_uid
        if owner == uid:
            return
        for _, folders, files, here in os.fwalk(".", topdown=False, follow_symlinks=False, dir_fd=fd):
            for entry in (*folders, *files):
                status = os.stat(entry, dir_fd=here, follow_symlinks=False)
                if status.st_uid == owner and (status.st_nlink == 1 or stat.S_ISDIR(status.st_mode)):
                    os.chown(entry, uid, gid, dir_fd=here, follow_symlinks=False)
        os.fchown(fd, uid, gid)
    finally:
        os.close(fd)


def hand_back(parent: int, name: str) -> None:
    """Give to the owner of the directory `name` what is ours in it: what a borg of ours, in a window, has made there.

    The owner may exchange names meanwhile, so each thing is held, looked at and given by a descriptor. Raise OSError.
    """
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        owner = os.fstat(fd)
        if owner.st_uid == os.geteuid():
            return
        for _, folders, files, here in os.fwalk(".", topdown=False, follow_symlinks=False, dir_fd=fd):
            for entry in (*folders, *files):
                _give(entry, here, owner)
    finally:
        os.close(fd)


def _give(entry: str, here: int, owner: os.stat_result) -> None:
    held = os.open(entry, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    try:
        status = os.fstat(held)
        whole = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        if whole and status.st_uid == os.geteuid():
            os.chown(f"/proc/self/fd/{held}", owner.st_uid, owner.st_gid)
    finally:
        os.close(held)


def foreign_link(parent: int, name: str) -> str | None:
    """Return a symlink in a directory that is another user's, which would lead a borg of ours elsewhere; else None."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            return None
        for above, folders, files, here in os.fwalk(".", follow_symlinks=False, dir_fd=fd):
            for entry in (*folders, *files):
                if stat.S_ISLNK(os.stat(entry, dir_fd=here, follow_symlinks=False).st_mode):
                    return os.path.normpath(f"{name}/{above}/{entry}")
        return None
    finally:
        os.close(fd)
