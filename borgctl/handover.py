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
