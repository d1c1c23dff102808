"""borg's own directory, given to the user whom borg runs as.

Whoever had it before is trusted no more than a peer: nothing is followed, and a file that has another name or another
owner is left as it is. It does not know what is in it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

_DEEPEST = 64  # directories in directories; borg makes six
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def hand_over(parent: int, name: str, uid: int, gid: int) -> None:
    """Give the directory `name` (below the descriptor `parent`) and all that is its owner's in it to `uid`, `gid`.

    The directory itself comes last, so that one that was interrupted is done again. Raise OSError.
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


def hand_back(parent: int, name: str) -> None:
    """Give to the owner of the directory `name` what is ours in it: what a borg of ours, in a window, has made there.

    The owner may exchange names meanwhile, so each thing is held, looked at and given by a descriptor. A directory that
    the owner may not use is put right: another run of the same user can have done that to it. Raise OSError.
    """
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        owner = os.fstat(fd)
        if owner.st_uid == os.geteuid():
            return
        _open_up(fd, owner)
        for entry, here in _below(fd):
            with contextlib.suppress(FileNotFoundError):
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
        elif stat.S_ISDIR(status.st_mode) and status.st_uid == owner.st_uid:
            _open_up(held, status)
    finally:
        os.close(held)


def _open_up(held: int, status: os.stat_result) -> None:
    if status.st_mode & 0o700 != 0o700:
        os.chmod(f"/proc/self/fd/{held}", 0o700)


def foreign_link(parent: int, name: str) -> str | None:
    """Return a symlink in a directory that is another user's, which would lead a borg of ours elsewhere; else None."""
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
def inside(parent: int, name: str, *names: str, make: bool = False) -> Iterator[int | None]:
    """Open a directory below borg's own one step by step, following no link; None where there is none.

    With `make` what is missing is made, and is its owner's: borg has to write there. Raise OSError where something else
    is in its place.
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
        _give(name, above, owner)


def _below(fd: int, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield each name below a directory and the descriptor of where it is; what is in a directory comes before it.

    Whoever owns it may be at work in it: names come and go, and turn into others. Raise OSError where it goes deeper
    than any borg does: that one was taken over.
    """
    if depth > _DEEPEST:
        raise OSError(errno.ELOOP, f"it has directories more than {_DEEPEST} levels deep, which no borg makes")
    for name in os.listdir(fd):
        with contextlib.suppress(NotADirectoryError, FileNotFoundError):
            below = os.open(name, _DIRECTORY, dir_fd=fd)
            try:
                yield from _below(below, depth + 1)
            finally:
                os.close(below)
        yield name, fd
