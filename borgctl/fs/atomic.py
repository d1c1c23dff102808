"""Write files atomically: the new content appears complete or not at all, on disk with its name when the call returns.

The content goes to a draft in the same directory, which is then renamed or linked. A writer locks its draft, so an
unlocked draft is a dead writer's: the next writer in the directory removes it. With `at`, a path is relative to that
open directory. This module does not know what a file is for.

replace("/var/lib/borgpull/web1/state.json", b"{}")
replace("borg-version", b"1.4.5", at=fd)
create("/var/lib/borgpull/host-id", b"…")            # FileExistsError where something is there
directories("/var/lib/borgpull/web1/copies")         # 0700 each, on disk too
"""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator

_DRAFT = re.compile(r"\..+\.[0-9a-f]{16}\.new", re.DOTALL)
_TRIES = 10  # drafts: another writer that removes one that is not locked yet has to meet a moment
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def replace(
    path: str,
    data: bytes,
    *,
    at: int | None = None,
    mode: int = 0o600,
    owner: os.stat_result | None = None,
    draft: str | None = None,
    aside: str | None = None,
) -> None:
    """Replace the file at `path` with `data`; if writing fails, the old file stays, and no draft. Raise OSError.

    `owner` has the user and group that get the file. `draft` is the draft's name in the directory, for a caller that
    removes such names itself. `aside` keeps the old file under this name.
    """
    with _directory_of(path, at) as (directory, name), _draft(directory, name, draft) as (fd, written):
        _fill(fd, data, mode, owner)
        if aside is not None:
            _keep(directory, name, aside)
        os.rename(written, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)


def create(path: str, data: bytes, *, at: int | None = None, mode: int = 0o600) -> None:
    """Make a new file; raise FileExistsError where the name exists, OSError where writing fails."""
    with _directory_of(path, at) as (directory, name), _draft(directory, name) as (fd, written):
        _fill(fd, data, mode, None)
        os.link(written, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.fsync(directory)


def move(name: str, place: str, *, at: int) -> None:
    """Rename a file that is on disk over another in the same directory."""
    os.rename(name, place, src_dir_fd=at, dst_dir_fd=at)
    os.fsync(at)


def directories(path: str) -> list[str]:
    """Make a directory and those above it, 0700 each, on disk when this returns; return those made, outermost first."""
    missing, made = [], []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # made by somebody else meanwhile
            continue
        made.append(path)
    for path in made:
        sync(os.path.dirname(path))
    return made


def sync(directory: str) -> None:
    """Write a directory's names to disk (fsync(2): a file's own fsync does not do that)."""
    fd = os.open(directory, _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_drafts(directory: str | int) -> None:
    """Remove the drafts that killed writers left in a directory, given by its path or a descriptor."""
    fd = directory if isinstance(directory, int) else os.open(directory, _DIRECTORY)
    try:
        for name in filter(_DRAFT.fullmatch, os.listdir(fd)):
            with contextlib.suppress(OSError):  # in use, gone, or not ours
                _remove_draft(fd, name)
    finally:
        if not isinstance(directory, int):
            os.close(fd)


def _remove_draft(directory: int, name: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=directory)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _directory_of(path: str, at: int | None) -> Iterator[tuple[int, str]]:
    """Open the directory of a file, and yield it with the file's name; an error names the file, not its draft."""
    above, name = os.path.split(path)
    try:
        fd = os.open(above or ".", _DIRECTORY, dir_fd=at)
        try:
            yield fd, name
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


@contextlib.contextmanager
def _draft(directory: int, name: str, draft: str | None = None) -> Iterator[tuple[int, str]]:
    """Make a locked draft, and yield it with its name; remove afterwards what still has that name."""
    if draft is None:
        remove_drafts(directory)
    for _ in range(_TRIES):
        written = draft or f".{name}.{os.urandom(8).hex()}.new"
        fd = os.open(written, _NEW, 0o600, dir_fd=directory)
        if _lock(fd):
            break
        with contextlib.suppress(OSError):
            os.unlink(written, dir_fd=directory)
        os.close(fd)  # somebody took it for a dead writer's before it was locked
    else:
        raise OSError(errno.EAGAIN, "another process takes each draft")
    try:
        yield fd, written
    finally:
        with contextlib.suppress(OSError):
            os.unlink(written, dir_fd=directory)
        os.close(fd)


def _lock(fd: int) -> bool:
    """Lock a draft; False where it was removed, or is locked by somebody who is not waited for: it may be for ever."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody can remove drafts there
        pass
    return os.fstat(fd).st_nlink > 0


def _keep(directory: int, name: str, aside: str) -> None:
    """Give a file a second name in place of whatever has that; it keeps its own one, so that it is never missing."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside, dir_fd=directory)
    with contextlib.suppress(FileNotFoundError):
        try:
            os.link(name, aside, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except PermissionError:  # a directory, or a file system without links
            os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)


def _fill(fd: int, data: bytes, mode: int, owner: os.stat_result | None) -> None:
    """Write a draft, and wait for the disk."""
    if owner is not None and owner.st_uid != os.geteuid():
        os.fchown(fd, owner.st_uid, owner.st_gid)
    os.fchmod(fd, mode)
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    os.fsync(fd)
