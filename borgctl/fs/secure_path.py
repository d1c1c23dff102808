"""Open a path only where no untrusted user can have chosen what is there.

The rule: root or one of `owners` owns every component; others may write to a directory only if it is root's and sticky.
Each component is checked on its descriptor, so what was checked is what is opened. A symlink is followed only where no
untrusted user can have made it. This module does not know what a file is for.

    with SecurePath.at("/etc/borgctl/web1.yaml") as pinned: text = pinned.read(65536)
"""

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from types import TracebackType

_MOST_LINKS = 40
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class InsecurePath(Exception):  # noqa: N818 - reads as what it says
    """Another user could choose what is at this path; the message says where."""


def ourselves() -> frozenset[int]:
    """Return the users whose files we trust: root and the one we run as."""
    return frozenset((0, os.geteuid()))


def others_may_replace(status: os.stat_result) -> bool:
    """Tell whether users other than the owner may write to a file, or replace what is in a directory.

    In root's sticky directories, such as /tmp, nobody can replace what is not theirs; anybody can add to them.
    """
    if not status.st_mode & _OTHERS_WRITE:
        return False
    return not (stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and status.st_mode & stat.S_ISVTX)


class SecurePath:
    """A file or directory behind an O_PATH descriptor, checked as above. It closes with the block."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self.status = os.fstat(fd)

    @classmethod
    def at(cls, path: str, owners: Collection[int] | None = None, *, follow: bool = True) -> "SecurePath":
        """Pin an absolute path; `follow` symlinks of trusted users. Raise InsecurePath, or OSError as open(2) does."""
        trusted = ourselves() if owners is None else owners
        if not path.startswith("/"):
            raise InsecurePath(f"{path!r} is not absolute")
        for _ in range(_MOST_LINKS):
            result = _descend(path, trusted, follow)
            if isinstance(result, int):
                return cls(result, path)
            path = result
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def __enter__(self) -> "SecurePath":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def require(self, kind: int, forbidden: int = _OTHERS_WRITE) -> "SecurePath":
        """Raise InsecurePath unless this is of `kind` (stat.S_IFREG …) and has no `forbidden` mode bit."""
        if stat.S_IFMT(self.status.st_mode) != kind:
            raise InsecurePath(f"{self.path!r} is not a {'directory' if kind == stat.S_IFDIR else 'regular file'}")
        if self.status.st_mode & forbidden:
            raise InsecurePath(f"{self.path!r} has mode {stat.S_IMODE(self.status.st_mode):04o}: others may use it")
        return self

    def open(self, flags: int) -> int:
        """Open the very object that was checked, with open(2) flags."""
        return os.open(f"/proc/self/fd/{self.fd}", flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)

    def read(self, most: int) -> bytes:
        """Return the content; raise InsecurePath above `most` bytes, OSError where a read would block."""
        fd, content = self.open(os.O_RDONLY), b""
        try:
            while len(content) <= most and (piece := os.read(fd, most + 1 - len(content))):
                content += piece
        finally:
            os.close(fd)
        if len(content) > most:
            raise InsecurePath(f"{self.path!r} is longer than {most} bytes")
        return content


def _descend(path: str, owners: Collection[int], follow: bool) -> int | str:
    """Return a descriptor of the last component, or the path to try next where a component is a symlink.

    '..' is opened, as the kernel does: behind a symlink it is another directory than the text names.
    """
    fd, walked = os.open("/", _PIN), ""
    status = os.fstat(fd)
    names = [name for name in path.split("/") if name not in ("", ".")]
    try:
        for index, name in enumerate(names):
            _check_directory(status, walked or "/", owners)
            below = os.open(name, _PIN, dir_fd=fd)
            os.close(fd)
            fd, walked = below, os.path.dirname(walked).rstrip("/") if name == ".." else f"{walked}/{name}"
            status = os.fstat(fd)
            if status.st_uid not in owners:
                raise InsecurePath(f"{walked!r} is owned by uid {status.st_uid}")
            if stat.S_ISLNK(status.st_mode):
                if not follow:
                    raise InsecurePath(f"{walked!r} is a symlink")
                target = os.path.join(os.path.dirname(walked), os.readlink("", dir_fd=fd), *names[index + 1 :])
                os.close(fd)
                fd = -1
                return target
        result, fd = fd, -1
        return result
    finally:
        if fd >= 0:
            os.close(fd)


def _check_directory(status: os.stat_result, path: str, owners: Collection[int]) -> None:
    if status.st_uid not in owners:
        raise InsecurePath(f"directory {path!r} is owned by uid {status.st_uid}")
    if others_may_replace(status):
        raise InsecurePath(
            f"directory {path!r} has mode {stat.S_IMODE(status.st_mode):04o}: other users may replace what is in it"
        )


def directory(path: str, owners: Collection[int] | None = None, *, missing: int = 0, follow: bool = True) -> SecurePath:
    """Pin a directory that only `owners` may write to, making up to `missing` levels with mode 0700."""
    try:
        pinned = SecurePath.at(path, owners, follow=follow)
    except FileNotFoundError:
        if not missing:
            raise
        above = directory(os.path.dirname(path), owners, missing=missing - 1, follow=follow)
        with above, contextlib.suppress(FileExistsError):  # another gate was faster
            os.mkdir(os.path.basename(path), 0o700, dir_fd=above.fd)
        pinned = SecurePath.at(path, owners, follow=follow)
    try:
        return pinned.require(stat.S_IFDIR)
    except InsecurePath:
        pinned.close()
        raise


def require_directory(path: str, owners: Collection[int] | None = None, *, missing: int) -> None:
    """Raise as `directory` would, but make nothing."""
    try:
        directory(path, owners).close()
    except FileNotFoundError:
        if not missing:
            raise
        require_directory(os.path.dirname(path), owners, missing=missing - 1)


def read_file(path: str, most: int) -> bytes:
    """Return the content of a regular file that only root and the gate's user can change.

    Raise InsecurePath, at once, for a FIFO, a device or a file of more than `most` bytes; else OSError as open(2) does.
    """
    with SecurePath.at(path) as pinned:
        if pinned.require(stat.S_IFREG).status.st_size > most:
            raise InsecurePath(f"{path!r} is longer than {most} bytes")
        return pinned.read(most)
