"""History file: open the SQLite file in which all runs are kept, whatever state it is in.

    STATE/history.db        and -wal, -shm beside it while it is in use

No backup depends on it. A file that is damaged, or is no file, is put aside and a new one takes its place
(`history_replacement`). A newer version's is left alone. Nobody is waited for longer than a moment. Whoever reads here
has no more rights than the file's owner (`as_chooser`). What the rows mean is in `history`.

    result, aside = write(folders, lambda connection: …)         aside: a line about a file that was put aside, or None
    rows = read(folders, lambda connection: …)                   None where there is no file
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from borgctl.fs.secure_path import InsecurePath
from borgctl.pull.state.as_chooser import as_chooser, chooser
from borgctl.pull.state.history_replacement import FILES, PATIENCE, HistoryUnusable, identity, replace
from borgctl.pull.targets.paths import Folders

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar("T")
Act = Callable[["Connection"], T]

VERSION = 1
SCHEMA = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL, kind TEXT NOT NULL, job TEXT, command TEXT, run TEXT,
    begun REAL NOT NULL CHECK (begun BETWEEN 0 AND 253402300799),
    ended REAL CHECK (ended BETWEEN 0 AND 253402300799), duration REAL,
    outcome TEXT NOT NULL, reason TEXT, archive TEXT,
    files INTEGER, original INTEGER, compressed INTEGER, deduplicated INTEGER,
    received INTEGER, sent INTEGER, put_bytes INTEGER,
    shrunken INTEGER NOT NULL, slow INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_of_job ON runs (target, job, id);
CREATE INDEX runs_by_time ON runs (begun);
PRAGMA user_version = {VERSION};
"""
_DAMAGED = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB
_WRITE_AHEAD = slice(18, 20)  # bytes of a file's header (sqlite.org/fileformat2.html, 1.3.3): 2 is a write-ahead log


class _Broken(Exception):  # noqa: N818
    """The file is none of ours."""


def write(folders: Folders, act: Act[T], *, create: bool = True) -> tuple[T | None, str | None]:
    """Do something in one transaction; return its result, and a line about a file that was put aside.

    Without `create`, where there is no file the result is None. Raise HistoryUnusable.
    """
    aside = None
    for left in (2, 1, 0):  # attempts after this one: another launcher may replace the file just now
        seen = identity(folders)
        if seen is None and not create:
            break
        try:
            with _faults(folders):
                if seen is None:
                    replace(folders, seen, _empty)
                with closing(_connect(folders, "mode=rw")) as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    _check(folders, connection)
                    result = act(connection)
                    connection.execute("COMMIT")
                    return result, aside
        except HistoryUnusable:
            if not left or identity(folders) == seen:
                raise
        except _Broken as error:
            if not left:
                raise HistoryUnusable(f"{folders.history}: {error}") from None
            with _faults(folders):
                name = replace(folders, seen, _empty)
            aside = f"{folders.history} was damaged ({error}): it is {name} now, and a new one begins" if name else None
    return None, aside


def read(folders: Folders, act: Act[T]) -> T | None:
    """Look something up, change nothing, and return it; None where there is no file. Raise HistoryUnusable."""
    if identity(folders) is None:
        return None
    try:
        with _faults(folders), as_chooser(folders.state), closing(_connected_to_read(folders)) as connection:
            return act(connection)
    except _Broken as error:
        hint = "the next run puts it aside and begins a new one"
        raise HistoryUnusable(f"{folders.history}: damaged ({error})", hint) from None


def _connected_to_read(folders: Folders) -> "Connection":
    """Open the file to read; where nothing can be written beside it, and nothing is there, it cannot change either.

    Of another user's file no journal is played back, since that writes: mode=ro.
    """
    try:
        with _faults(folders):  # read-only, SQLite leaves its files beside it
            return _checked(folders, "mode=rw" if _is_own(folders) else "mode=ro")
    except HistoryUnusable:
        if os.access(folders.state, os.W_OK) or os.path.lexists(f"{folders.history}-wal"):
            raise
        return _checked(folders, "mode=ro&immutable=1")


def _is_own(folders: Folders) -> bool:
    """Tell whether nobody but root and us can choose what is there."""
    try:
        return chooser(folders.state) in (0, os.geteuid())
    except InsecurePath:
        return False


def _checked(folders: Folders, options: str) -> "Connection":
    connection = _connect(folders, options)
    try:
        connection.execute("PRAGMA query_only = ON")
        _check(folders, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(folders: Folders, connection: "Connection") -> None:
    """Raise _Broken unless this is a file of ours, and HistoryUnusable where it is a newer version's."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise HistoryUnusable(
            f"{folders.history} is of a newer borgpull (version {version}, here {VERSION}), and is left alone",
            "install that borgpull again, or move the file away",
        )
    tables = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'runs'").fetchall()
    if version != VERSION or tables != [(SCHEMA.strip().partition(";")[0],)]:
        raise _Broken("it has not our tables")


def _connect(folders: Folders, options: str) -> "Connection":
    """Open the file, if it is one; make nothing, but what SQLite makes beside it, with the same rights."""
    import sqlite3  # noqa: PLC0415 - 7 ms; nothing that starts a run needs it

    for end in FILES:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(f"{folders.history}{end}").st_mode):
                raise _Broken(f"history.db{end} is no file")
    url = f"file:{quote(folders.history)}?{options}"
    return sqlite3.connect(url, uri=True, timeout=PATIENCE, isolation_level=None)


@contextmanager
def _faults(folders: Folders) -> Iterator[None]:
    """Raise _Broken where SQLite finds damage, and HistoryUnusable for whatever else goes wrong."""
    try:
        import sqlite3  # noqa: PLC0415
    except ImportError as error:
        raise HistoryUnusable(f"{folders.history}: {error}", "install Python's sqlite3") from None
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise _Broken(str(error)) from None
        raise HistoryUnusable(f"{folders.history}: {error}{_on_full_disk(folders)}") from None
    except OSError as error:
        raise HistoryUnusable(f"{error.filename or folders.history}: {error.strerror}") from None
    except InsecurePath as error:
        raise HistoryUnusable(f"{folders.history}: {error}") from None


def _on_full_disk(folders: Folders) -> str:
    """Return that the disk is full, if so: SQLite, which writes beside the file also to read, says 'disk I/O error'."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(folders.state)
        if disk.f_bavail == 0 or (disk.f_files > 0 and disk.f_favail == 0):
            return " (no space left on its disk)"
    return ""


def _empty() -> bytes:
    """Return a file without rows, in SQLite's form."""
    import sqlite3  # noqa: PLC0415

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        data = bytearray(connection.serialize())
    data[_WRITE_AHEAD] = b"\2\2"
    return bytes(data)
