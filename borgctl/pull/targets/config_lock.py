"""Config lock: the lock of the configuration directory, under which dead writers' files are removed.

`atomic` writes files through drafts. A private directory is called `.new-NAME`. Whoever makes one holds the lock, so a
directory found while we hold the lock is a dead writer's.

    with alone(folders), directory(path) as private: …
    with unchanged(folders): …
    sweep(folders)
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.fs import atomic
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders


@contextmanager
def alone(folders: Folders) -> Iterator[None]:
    """Hold the configuration's lock, and remove what killed writers left."""
    with _held(folders, fcntl.LOCK_EX):
        _clear(folders)
        yield


@contextmanager
def unchanged(folders: Folders) -> Iterator[None]:
    """Keep everybody from adding, changing or renaming a target meanwhile; write nothing."""
    with _held(folders, fcntl.LOCK_SH):
        yield


@contextmanager
def _held(folders: Folders, kind: int) -> Iterator[None]:
    try:
        held = os.open(folders.config, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PullError(f"{folders.config}: {error.strerror}") from None
    try:
        fcntl.flock(held, kind)
        yield
    finally:
        os.close(held)


def sweep(folders: Folders) -> None:
    """Remove what killed writers left, unless another process is writing now."""
    with contextlib.suppress(OSError):  # no such directory, or not ours to write
        held = os.open(folders.config, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(folders)
        finally:
            os.close(held)


def _clear(folders: Folders) -> None:
    for folder in (folders.targets, folders.keys):
        if not os.path.isdir(folder):
            continue
        atomic.remove_drafts(folder)
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                if re.fullmatch(r"\.new-[A-Za-z0-9_]+", name):
                    import shutil  # noqa: PLC0415 - seldom needed

                    shutil.rmtree(f"{folder}/{name}")


@contextmanager
def directory(beside: str) -> Iterator[str]:
    """Hold a private directory next to `beside`; remove it afterwards."""
    import tempfile  # noqa: PLC0415 - seldom needed

    with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(beside)) as path:
        yield path
