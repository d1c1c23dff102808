"""History copy: the history file as it is at one moment, while runs go on and write to it.

It is made by SQLite itself, which reads the write-ahead log too: a copy of the file alone could lack the last runs. It
is looked through, so that damage is told on the day of the copy and not on that of its use.

    copy(folders, "/mnt/safe/history.db")       into an empty file
"""

import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from borgctl.pull.state import history_file
from borgctl.pull.state.history_replacement import PATIENCE, HistoryUnusable
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders

if TYPE_CHECKING:
    from sqlite3 import Connection

_LOCKED = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
_OF_THE_SOURCE = (*_LOCKED, 11, 26, 266, 522)  # SQLITE_CORRUPT, _NOTADB, _IOERR_READ, _IOERR_SHORT_READ


def copy(folders: Folders, place: str) -> None:
    """Copy the file into the empty file at `place`.

    Raise HistoryUnusable where it cannot be read whole, and PullError where `place` cannot be written.
    """
    import sqlite3  # noqa: PLC0415 - 7 ms; nothing that starts a run needs it

    end = time.monotonic() + PATIENCE

    def wait(status: int, *_: int) -> None:
        if status in _LOCKED and time.monotonic() > end:
            raise HistoryUnusable(f"{folders.history}: database is locked")

    def act(connection: "Connection") -> None:
        try:
            connection.backup(other, progress=wait)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) in _OF_THE_SOURCE:
                raise
            raise _unwritable(place, error) from None

    try:
        with closing(sqlite3.connect(place)) as other:
            other.execute("PRAGMA journal_mode = OFF").fetchall()  # whoever reads may write nothing beside `place`
            history_file.read(folders, act)
    except sqlite3.Error as error:
        raise _unwritable(place, error) from None
    try:
        with closing(sqlite3.connect(f"file:{quote(place)}?mode=ro&immutable=1", uri=True)) as other:
            ((first,),) = other.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        first = str(error)
    if first != "ok":
        raise HistoryUnusable(f"{folders.history}: damaged ({' '.join(first.split())})")


def _unwritable(place: str, error: Exception) -> PullError:
    return PullError(f"cannot write {place}: {error}", "make room there, or choose another place")
