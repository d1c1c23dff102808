"""Remove a directory, however deep and whatever is in it: another user may have filled it.

It works on descriptors and follows no symlink, as shutil.rmtree does. But shutil.rmtree gives up on directories nested
deeper than Python's stack, which would then obstruct every later run.

    remove_tree(base, "runs/3f2a…")
"""

import contextlib
import os
import time

_PATIENCE = 10.0  # seconds: a process may still be adding files
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(above: int, path: str) -> None:
    """Remove the directory `path` (below the descriptor `above`) as far as possible; raise nothing."""
    end, before = time.monotonic() + _PATIENCE, None
    with contextlib.suppress(OSError):
        top = os.open(path, _DIRECTORY, dir_fd=above)
        try:
            while (names := sorted(os.listdir(top))) and names != before and time.monotonic() < end:
                before = names
                for name in names:
                    _remove(top, name)
        finally:
            os.close(top)
        os.rmdir(path, dir_fd=above)


def _remove(top: int, name: str) -> None:
    """Remove one name; directories inside a directory move up to `top` first, so nothing here recurses."""
    with contextlib.suppress(OSError):
        try:
            os.unlink(name, dir_fd=top)
        except IsADirectoryError:
            _remove_directory(top, name)


def _remove_directory(top: int, name: str) -> None:
    fd = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for inner in os.listdir(fd):
            _lift(fd, inner, top)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)


def _lift(fd: int, name: str, top: int) -> None:
    with contextlib.suppress(OSError):
        try:
            os.unlink(name, dir_fd=fd)
        except IsADirectoryError:
            os.rename(name, os.urandom(16).hex(), src_dir_fd=fd, dst_dir_fd=top)
