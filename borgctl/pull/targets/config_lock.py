"""The lock of the configuration directory, and an end for what dead writers have left in it.

Files are drafted and put into their place by `atomic`. A private directory is called `.new-NAME`; whoever makes one
holds the lock, so one that is found while the lock is held belongs to nobody who lives.

    with alone(folders), directory(path) as private: …
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

from borgctl.fs import atomic
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders


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
        if not os.path.isdir(folder):
            continue
        atomic.remove_drafts(folder)
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                if re.fullmatch(r"\.new-[A-Za-z0-9_]+", name):
                    shutil.rmtree(f"{folder}/{name}")


@contextmanager
def directory(beside: str) -> Iterator[str]:
    """Hold a private directory in the one of `beside`; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(beside)) as path:
        yield path
