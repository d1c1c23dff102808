"""Destination: the new directory of an export. It appears whole under its name, or not at all.

    DIR.partial     until all of it is on disk; an export that was killed leaves it, with what was copied by then
    DIR/manifest    remarks, then the SHA-256 of each file, as sha256sum(1) checks it

Only its owner can read it, on a file system that keeps rights. This module does not know what the files are.

    with new_directory("/mnt/safe/monday") as place:
        place.write("config/keys/web1", data, status)
        place.finish(["borgpull export, version 1"])
"""

import hashlib
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from borgctl.fs import atomic
from borgctl.fs.remove_tree import remove_tree
from borgctl.fs.secure_path import InsecurePath, SecurePath, others_may_replace
from borgctl.pull.targets.errors import PullError

MANIFEST = "manifest"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Destination:
    """The directory while it is filled, at `path`; `sums` has the SHA-256 of each file. Its calls raise OSError."""

    def __init__(self, fd: int, path: str) -> None:
        self.path = path
        self.sums: dict[str, str] = {}
        self._fd = fd
        self._directories = {""}

    def write(self, name: str, data: bytes, like: os.stat_result) -> None:
        """Write a new file with mode and times of `like`, and as root its owner; make the directories above it."""
        above, last = os.path.split(name)
        self.make(above)
        mode, owner = stat.S_IMODE(like.st_mode) & 0o777, like if os.geteuid() == 0 else None
        atomic.replace(name, data, at=self._fd, mode=mode, owner=owner, draft=f".{last}.new")
        os.utime(name, ns=(like.st_atime_ns, like.st_mtime_ns), dir_fd=self._fd, follow_symlinks=False)
        self.sums[name] = hashlib.sha256(data).hexdigest()

    def rehash(self, name: str) -> None:
        """Take a file as it is now that somebody has filled it."""
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd), "rb") as file:
            os.fsync(file.fileno())
            self.sums[name] = hashlib.file_digest(file, "sha256").hexdigest()

    def drop(self, name: str) -> None:
        """Remove a file again."""
        os.unlink(name, dir_fd=self._fd)
        del self.sums[name]

    def finish(self, remarks: Sequence[str]) -> None:
        """Write the manifest, with remarks of one line each before the sums, and wait for the disk."""
        lines = [*(f"# {remark}" for remark in remarks), *(f"{self.sums[name]}  {name}" for name in sorted(self.sums))]
        text = "".join(f"{line}\n" for line in lines)
        atomic.create(MANIFEST, text.encode("ascii", "backslashreplace"), at=self._fd)
        for name in self._directories:
            atomic.sync(f"{self.path}/{name}")

    def make(self, name: str) -> None:
        """Make a directory and those above it, 0700 each."""
        if name in self._directories:
            return
        self.make(os.path.dirname(name))
        os.mkdir(name, 0o700, dir_fd=self._fd)
        self._directories.add(name)


@contextmanager
def new_directory(path: str) -> Iterator[Destination]:
    """Make a directory at an absolute path; it gets its name when the block ends well, and is removed when it does not.

    Raise PullError where something is there already, where other users could put another one into its place or read
    it, and for each OSError of the block.
    """
    try:
        with _parent(os.path.dirname(path)) as pinned:
            _require_free(path)
            parent = pinned.open(os.O_RDONLY | os.O_DIRECTORY)
        try:
            with _partial(parent, path) as place:
                yield place
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        text = f"cannot write {path}: {error.strerror}"
        raise PullError(text, "make room there, or choose another place: nothing was left in this one") from None


def _parent(path: str) -> SecurePath:
    """Pin the directory above; raise PullError where others could rename what is in it."""
    try:
        pinned = SecurePath.at(path)
        if not others_may_replace(pinned.status):
            return pinned
        pinned.close()
        raise InsecurePath(f"in {path!r} other users may put another one into its place")
    except InsecurePath as error:
        hint = "choose a place above which only root and you may write"
        raise PullError(f"unsafe place for private keys: {error}", hint) from None


def _require_free(path: str) -> None:
    """Raise PullError unless there is nothing, or an empty directory whose name another one can take."""
    hint = "name a directory that is not there yet"
    if os.path.islink(path):
        raise PullError(f"{path} is a symlink", hint)
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise PullError(f"{path} is there already, and no directory", hint) from None
    if names:
        raise PullError(f"{path} is there already, and not empty", hint)
    if os.path.ismount(path):
        raise PullError(f"{path} is where a disk is mounted", f"name a directory in it: {shlex.quote(path)}/borgpull")


@contextmanager
def _partial(parent: int, path: str) -> Iterator[Destination]:
    """Hold the directory under its first name, and rename it in the end."""
    name = os.path.basename(path)
    partial = f"{name}.partial"
    try:
        os.mkdir(partial, 0o700, dir_fd=parent)
    except FileExistsError:
        hint = f"if no export is at work there: rm -r {shlex.quote(f'{path}.partial')}"
        raise PullError(f"{path}.partial is there: another export has not ended", hint) from None
    try:
        fd = os.open(partial, _DIRECTORY, dir_fd=parent)
        try:
            _require_private(os.fstat(fd), path)
            yield Destination(fd, f"{path}.partial")
        finally:
            os.close(fd)
        os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        remove_tree(parent, partial)
        raise


def _require_private(status: os.stat_result, path: str) -> None:
    """Raise PullError where the file system has not kept the rights that the directory was made with."""
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        text = f"{path}: its file system keeps no rights, so that others could read the private keys"
        raise PullError(text, "choose another disk; then take it along as one encrypted file")
