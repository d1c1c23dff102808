"""Last good: each job's newest good run in the history, and the good ones before it.

It knows SQL, and judges nothing: what is usual is in `report/trends`.

    last_good(folders, [("web1", "default")])["web1", "default"].sizes.values          (files, original), newest first
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from borgctl.pull.state import history_file
from borgctl.pull.state.history import IS_GOOD, Run, Window, windows
from borgctl.pull.targets.paths import Folders

if TYPE_CHECKING:
    from sqlite3 import Connection

_COLUMNS = ", ".join(Run._fields)
_OF_JOB = f"target = ? AND job = ? AND {IS_GOOD}"
_NEWEST = f"SELECT id, {_COLUMNS} FROM runs WHERE {_OF_JOB} ORDER BY id DESC LIMIT 1"  # noqa: S608 - our own words


class LastGood(NamedTuple):
    """A run, and the last good sizes and durations before it."""

    run: Run
    sizes: Window
    durations: Window


def last_good(folders: Folders, jobs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], LastGood]:
    """Return the last good run of each job, a target's name and its own; none for one that has none.

    Raise HistoryUnusable.
    """

    def act(connection: "Connection") -> dict[tuple[str, str], LastGood]:
        found = {}
        for job in jobs:
            row = connection.execute(_NEWEST, job).fetchone()
            if row is not None:
                found[job] = LastGood(Run._make(row[1:]), *windows(connection, *job, before=row[0]))
        return found

    return history_file.read(folders, act) or {}
