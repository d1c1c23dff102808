"""Drafts: files that are written beside their place and put there whole, and an end for those of dead writers.

A draft's name is hidden and says what it is: `.NAME.new` a file, `.new-NAME` a directory. Whoever makes one holds the
lock of the configuration directory, so what is found while that lock is held belongs to nobody who lives.

    with alone(folders):
        place(path, text)           # raises PullError where something is there
        replace(path, text, 0o600)
    sweep(folders)
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, settle


@contextmanager
def alone(folders: Folders) -> Iterator[None]:
    """Hold the configuration's lock, and clear away what writers that were killed have left."""
    try:
        held = os.open(folders.config, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PullError(f"{folders.config}: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        _clear(folders)
        yield
    finally:
        os.close(held)


def sweep(folders: Folders) -> None:
    """Clear away what writers that were killed have left, unless somebody is writing now."""
    with contextlib.suppress(OSError):  # no such folder, or not ours to write
        held = os.open(folders.config, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(folders)
        finally:
            os.close(held)


def _clear(folders: Folders) -> None:
    for folder in (folders.targets, folders.keys):
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for name in names:
            with contextlib.suppress(OSError):
                if re.fullmatch(r"\.new-[A-Za-z0-9_]+", name):
                    shutil.rmtree(f"{folder}/{name}")
                elif re.fullmatch(r"\.[A-Za-z0-9_]+\.new", name):
                    os.unlink(f"{folder}/{name}")


@contextmanager
def directory(beside: str) -> Iterator[str]:
    """Hold a private directory in the one of `beside`; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(beside)) as path:
        yield path


def place(path: str, text: str) -> None:
    """Write a new file that nobody sees half written."""
    with _draft(path, text, 0o600) as draft:
        os.link(draft, path)
        settle(os.path.dirname(path))


def replace(path: str, text: str, mode: int) -> None:
    """Write another text in the place of a file's; a reader sees the old one or the new one, whole."""
    with _draft(path, text, mode) as draft:
        os.rename(draft, path)
        settle(os.path.dirname(path))


@contextmanager
def _draft(path: str, text: str, mode: int) -> Iterator[str]:
    """Hold `text` in a hidden file beside `path`, on disk; what is still under that name afterwards goes."""
    draft = None
    try:
        fd, draft = tempfile.mkstemp(prefix=".", suffix=".new", dir=os.path.dirname(path))
        with open(fd, "w", encoding="utf-8", newline="") as file:
            os.fchmod(fd, mode)
            file.write(text)
            file.flush()
            os.fsync(fd)
        yield draft
    except OSError as error:
        raise PullError(f"{path}: {error.strerror}") from None
    finally:
        if draft is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
