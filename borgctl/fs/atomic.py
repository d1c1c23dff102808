"""Atomic: a file's new content is there whole or not at all, and on disk, with its name, when the call returns.

It is written to a draft beside its place, which is renamed or linked. A writer holds a lock on its draft, so each draft
that nobody locks is a dead writer's: whoever writes next into the directory removes it. With `at`, a path is relative
to the directory that this descriptor holds. Knows files, not what for.

replace("/var/lib/borgpull/web1/state.json", b"{}")
replace("borg-version", b"1.4.5", at=fd)
create("/var/lib/borgpull/host-id", b"…")            # FileExistsError where something is there
directories("/var/lib/borgpull/web1/copies")         # 0700 each, on disk too
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

_DRAFT = re.compile(r"\..+\.[0-9a-f]{16}\.new", re.DOTALL)
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
    """Put `data` into the place of `path`; where that cannot be written the old file stays, and no draft.

    `owner` is whose user and group get the file. `draft` is a name that the draft has in the directory, for a caller
    who clears such names away himself; `aside` keeps what was there under this name. Raises OSError.
    """
    with _directory_of(path, at) as (directory, name), _draft(directory, name, draft) as (fd, written):
        _fill(fd, data, mode, owner)
        if aside is not None:
            with contextlib.suppress(FileNotFoundError):
                os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
        os.rename(written, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)


def create(path: str, data: bytes, *, at: int | None = None, mode: int = 0o600) -> None:
    """Make a new file; raise FileExistsError where something is there, OSError where it cannot be written."""
    with _directory_of(path, at) as (directory, name), _draft(directory, name) as (fd, written):
        _fill(fd, data, mode, None)
        os.link(written, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.fsync(directory)


def move(name: str, place: str, *, at: int) -> None:
    """Put a file that is on disk into the place of another in the same directory."""
    os.rename(name, place, src_dir_fd=at, dst_dir_fd=at)
    os.fsync(at)


def directories(path: str) -> list[str]:
    """Make a directory and those above it, 0700 each, so that a crash leaves none of them out; return which were made.

    The outermost is the first.
    """
    missing, made = [], []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # somebody made it meanwhile
            continue
        made.append(path)
    for path in made:
        sync(os.path.dirname(path))
    return made


def sync(directory: str) -> None:
    """Have a directory's names on disk (fsync(2): a file's own fsync does not do that)."""
    fd = os.open(directory, _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_drafts(directory: str | int) -> None:
    """Remove what writers that were killed have left in a directory, given by its path or a descriptor."""
    fd = directory if isinstance(directory, int) else os.open(directory, _DIRECTORY)
    try:
        for name in filter(_DRAFT.fullmatch, os.listdir(fd)):
            with contextlib.suppress(OSError):  # at work, gone, or not ours
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
    """Hold the directory that a file is in, and tell its name there; an error names the file, not its draft."""
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
    """Hold a new file, and tell its name; what is still under that name afterwards goes."""
    if draft is None:
        remove_drafts(directory)
    while True:
        written = draft or f".{name}.{os.urandom(8).hex()}.new"
        fd = os.open(written, _NEW, 0o600, dir_fd=directory)
        with contextlib.suppress(OSError):  # a file system without locks: nobody can clear drafts there
            fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            break
        os.close(fd)  # somebody took it for a dead writer's before it was locked
    try:
        yield fd, written
    finally:
        with contextlib.suppress(OSError):
            os.unlink(written, dir_fd=directory)
        os.close(fd)


def _fill(fd: int, data: bytes, mode: int, owner: os.stat_result | None) -> None:
    """Write a draft, on disk when this returns."""
    if owner is not None and owner.st_uid != os.geteuid():
        os.fchown(fd, owner.st_uid, owner.st_gid)
    os.fchmod(fd, mode)
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    os.fsync(fd)
