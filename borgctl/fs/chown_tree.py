"""Change the owner of borg's own directory to the user that borg runs as, and back.

The former owner is trusted no more than a peer: no symlink is followed, and a file with a second link or another owner
stays as it is. This module does not know what the directory holds.

    chown_tree(base, "borg", 990, 990)
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

_DEEPEST = 64  # nested directories; borg makes six
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def chown_tree(parent: int, name: str, uid: int, gid: int) -> None:
    """Give the directory `name` (below the descriptor `parent`) to `uid` and `gid`, with all in it that its owner owns.

    The directory itself comes last, so an interrupted change starts again. Raise OSError.
    """
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        owner = os.fstat(fd).st_uid
        if owner == uid:
            return
        for entry, here in _below(fd):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(entry, dir_fd=here, follow_symlinks=False)
                if status.st_uid == owner and (status.st_nlink == 1 or stat.S_ISDIR(status.st_mode)):
                    os.chown(entry, uid, gid, dir_fd=here, follow_symlinks=False)
        os.fchown(fd, uid, gid)
    finally:
        os.close(fd)


def give_back(parent: int, name: str) -> None:
    """Give our files in the directory `name` to the directory's owner: those that our borg made in a window.

    The owner may exchange names meanwhile, so each entry is opened, checked and changed by its descriptor. A directory
    that its owner may not use gets mode 0700: another run of the same user may have changed it. Raise OSError.
    """
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        owner = os.fstat(fd)
        if owner.st_uid == os.geteuid():
            return
        _make_usable(fd, owner)
        for entry, here in _below(fd):
            with contextlib.suppress(FileNotFoundError):
                _give_entry(entry, here, owner)
    finally:
        os.close(fd)


def _give_entry(entry: str, here: int, owner: os.stat_result) -> None:
    fd = os.open(entry, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    try:
        status = os.fstat(fd)
        unlinked = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        if unlinked and status.st_uid == os.geteuid():
            os.chown(f"/proc/self/fd/{fd}", owner.st_uid, owner.st_gid)
        elif stat.S_ISDIR(status.st_mode) and status.st_uid == owner.st_uid:
            _make_usable(fd, status)
    finally:
        os.close(fd)


def _make_usable(fd: int, status: os.stat_result) -> None:
    if status.st_mode & 0o700 != 0o700:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)


def foreign_symlink(parent: int, name: str) -> str | None:
    """Return a symlink in another user's directory, None if there is none: it would lead our borg elsewhere."""
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            return None
        top = os.readlink(f"/proc/self/fd/{fd}")
        for entry, here in _below(fd):
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISLNK(os.stat(entry, dir_fd=here, follow_symlinks=False).st_mode):
                    return f"{name}{os.readlink(f'/proc/self/fd/{here}').removeprefix(top)}/{entry}"
        return None
    finally:
        os.close(fd)


@contextlib.contextmanager
def subdirectory(parent: int, name: str, *names: str, make: bool = False) -> Iterator[int | None]:
    """Open a directory below borg's own, step by step, following no symlink; None where it is missing.

    `make` makes missing directories and gives them to the owner of the first one: borg has to write there. Raise
    OSError where something else is in its place.
    """
    fd = os.dup(parent)
    try:
        owner: os.stat_result | None = None
        for step in (name, *names):
            if make and owner is not None:
                _make(fd, step, owner)
            above, fd = fd, os.open(step, _DIRECTORY, dir_fd=fd)
            os.close(above)
            owner = owner or os.fstat(fd)
    except FileNotFoundError:
        os.close(fd)
        yield None
        return
    except OSError:
        os.close(fd)
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def _make(above: int, name: str, owner: os.stat_result) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
    if owner.st_uid != os.geteuid():
        _give_entry(name, above, owner)


def _below(fd: int, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield each name below a directory with the descriptor of its parent; a directory's content comes before it.

    The owner may change it meanwhile: names come, go and turn into others. Raise OSError where it is deeper than any
    borg makes it: somebody else wrote there.
    """
    if depth > _DEEPEST:
        raise OSError(errno.ELOOP, f"it has directories more than {_DEEPEST} levels deep, and borg makes none so deep")
    for name in os.listdir(fd):
        with contextlib.suppress(NotADirectoryError, FileNotFoundError):
            below = os.open(name, _DIRECTORY, dir_fd=fd)
            try:
                yield from _below(below, depth + 1)
            finally:
                os.close(below)
        yield name, fd
