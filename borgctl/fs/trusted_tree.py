"""Check directory trees of code: only root and the gate's user may change anything in them, down to the last file.

A `.pth` file or a symlink that leads out of a tree is followed, and its target checked as well. This module does not
know whose code it is: `trusted_code` says where to look.

    TrustedTree().walk(["/usr/lib/python3.11"])      # raises InsecurePath, or OSError as open(2) does
"""

import os
import stat
from collections.abc import Iterable, Iterator

from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath, SecurePath

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LARGEST_PTH = 1 << 20


def require_if_there(path: str) -> None:
    """Raise InsecurePath or OSError where a path is not trusted; a missing one is fine."""
    try:
        with SecurePath.at(path) as pinned:
            require_entry(pinned.status, path)
    except FileNotFoundError:
        return


def require_entry(status: os.stat_result, path: str) -> None:
    """Raise InsecurePath where others may write to an entry; devices and root's sticky directories are fine."""
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return
    if secure_path.others_may_replace(status):
        raise InsecurePath(f"{path!r} has mode {stat.S_IMODE(status.st_mode):04o}: others may use it")


class TrustedTree:
    """Directories to check, each once."""

    def __init__(self, skipped: frozenset[str] = frozenset()) -> None:
        self._skipped = skipped  # names of directories to leave out
        self._owners = secure_path.ourselves()
        self._seen: set[tuple[int, int]] = set()

    def walk(self, directories: Iterable[str]) -> None:
        """Raise InsecurePath or OSError where another user could change anything below; skip a missing directory."""
        waiting = list(directories)
        while waiting:
            path = waiting.pop()
            try:
                with SecurePath.at(path) as pinned:
                    require_entry(pinned.status, path)
                    place = (pinned.status.st_dev, pinned.status.st_ino)
                    if not stat.S_ISDIR(pinned.status.st_mode) or place in self._seen:
                        continue
                    self._seen.add(place)
                    fd = pinned.open(os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            try:
                waiting += self._below(fd, path)
            finally:
                os.close(fd)

    def _below(self, fd: int, path: str) -> list[str]:
        """Check what is in an open directory and below; return the paths that lead out of it."""
        elsewhere: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # a package manager at work
                    continue
                kind = stat.S_IFMT(status.st_mode)
                if status.st_uid not in self._owners:
                    raise InsecurePath(f"'{path}/{entry.name}' is owned by uid {status.st_uid}")
                if kind == stat.S_IFLNK:
                    elsewhere.append(f"{path}/{entry.name}")
                elif status.st_mode & _OTHERS_WRITE:
                    mode = stat.S_IMODE(status.st_mode)
                    raise InsecurePath(f"'{path}/{entry.name}' has mode {mode:04o}: others may use it")
                elif kind == stat.S_IFDIR and entry.name not in self._skipped:
                    elsewhere += self._into(fd, entry.name, path)
                elif kind == stat.S_IFREG and entry.name.endswith(".pth"):
                    elsewhere += _added(f"{path}/{entry.name}", path)
        return elsewhere

    def _into(self, above: int, name: str, path: str) -> list[str]:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        except FileNotFoundError:
            return []
        try:
            status = os.fstat(fd)
            self._seen.add((status.st_dev, status.st_ino))
            return self._below(fd, f"{path}/{name}")
        finally:
            os.close(fd)


def _added(file: str, directory: str) -> Iterator[str]:
    """Yield the paths that a .pth file adds to Python's search (docs: site); its `import` lines are its own code."""
    for line in secure_path.read_file(file, _LARGEST_PTH).decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text and not text.startswith(("#", "import ", "import\t")):
            yield os.path.normpath(os.path.join(directory, text))
