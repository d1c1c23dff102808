"""Paths that a peer chose, looked at before borg does: no symlink may lead one of them somewhere else.

borg follows symlinks in a path's parents (not its last component), so a path inside an offered directory could end
outside it. Each parent is opened in turn, never by name alone. It does not know what is offered; `judge` does.
"""

import errno
import os
import stat
from collections.abc import Iterable

from borgctl.errors import BorgctlError
from borgctl.values import SourcePath

_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def check(paths: Iterable[SourcePath]) -> None:
    """Raise BorgctlError where a parent of one of the paths is a symlink. A missing path is borg's to report."""
    for path in paths:
        try:
            _check(path.text)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BorgctlError("source-refused", f"{path.text!r}: {os.strerror(error.errno or errno.EIO)}") from None


def _check(path: str) -> None:
    fd = os.open("/", _PIN)
    try:
        walked = ""
        for name in path.split("/")[1:-1]:
            below = os.open(name, _PIN, dir_fd=fd)
            os.close(fd)
            fd, walked = below, f"{walked}/{name}"
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                raise BorgctlError("source-refused", f"{walked!r} in {path!r} is a symlink: ask for the real path")
    finally:
        os.close(fd)
