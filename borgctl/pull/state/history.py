"""History: every run that has ended, as rows of one SQLite file. Charts and trends are read from it; it may be lost.

It knows SQL, and judges nothing. Rows are in the order in which they were recorded: clocks may jump. Of what a client
chose, `word`, `archive` and `number` let pass what a column can hold and a terminal can show.

    aside = append(folders, Run("web1", "run", "default", begun=…, outcome="ok", …), now)
    sizes, durations = past(folders, "web1", "default")          the last good runs, newest first
    for run in runs(folders, ["web1"], since): …
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from borgctl.errors import BadValue
from borgctl.pull.state import history_file
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.values import ArchiveName
from borgctl.wire.frames import DRY_RUN, GOOD

if TYPE_CHECKING:
    from sqlite3 import Connection

DAYS = 400  # for which a row is kept
_RECENT = 32  # days; where nothing was recorded in them, the last one apart, the clock may have jumped
MOST = 10  # runs of a job that the next one is compared with
_DAY = 86400.0
_LARGEST = (1 << 63) - 1
_PAGE = 1000  # rows read at once
_MOST_REMOVED = 1000  # rows in one call
NOT, RAISED, ACCEPTED = 0, 1, 2  # an alert about a row
IS_GOOD = f"outcome IN ('{GOOD[0]}', '{GOOD[1]}') AND reason IS NOT '{DRY_RUN}'"


class Run(NamedTuple):
    """One run: times in seconds since the epoch, `duration` by a clock that does not jump.

    `kind` is run, hello, window or borg; `job` is None but for a run that reached one. `ended` and `duration` are None
    for a run that broke off. By the client's word are `command`, `run` (its id), `archive`, and the archive's `files`
    and bytes: `original`, `compressed` and `deduplicated`. By our own count are bytes of borg's protocol that were
    `received`, bytes that ssh `sent`, and `put_bytes`, what was added to the repository. `shrunken` and `slow`: whether
    there was an alert, and a person has accepted it.
    """

    target: str
    kind: str
    job: str | None
    command: str | None
    run: str | None
    begun: float
    ended: float | None
    duration: float | None
    outcome: str
    reason: str | None = None
    archive: str | None = None
    files: int | None = None
    original: int | None = None
    compressed: int | None = None
    deduplicated: int | None = None
    received: int | None = None
    sent: int | None = None
    put_bytes: int | None = None
    shrunken: int = NOT
    slow: int = NOT


class Window(NamedTuple):
    """The last good values of a job, newest first; `accepted`: a person has called the oldest of all normal."""

    values: tuple[tuple[float, ...], ...] = ()
    accepted: bool = False


def word(value: object) -> str | None:
    """Return a word of the client's that is short and harmless; None for any other value."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", value) else None


def archive(value: object) -> str | None:
    """Return an archive's name, None for what no gate of ours calls one."""
    try:
        return str(ArchiveName(value)) if isinstance(value, str) else None
    except BadValue:
        return None


def number(value: object) -> int | None:
    """Return a number that a column can hold (SQLite's integers have 64 bits and a sign); None for any other value."""
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def append(folders: Folders, run: Run, now: float) -> str | None:
    """Add a run, and remove those that are too old; return a line about a file that was put aside.

    Raise HistoryUnusable. A row with a time in the future is not too old. A clock that is years ahead removes nothing
    on the first day: no row is from the weeks before.
    """
    marks = ", ".join("?" * len(Run._fields))

    def act(connection: "Connection") -> None:
        connection.execute(f"INSERT INTO runs ({', '.join(Run._fields)}) VALUES ({marks})", run)
        old = "SELECT id FROM runs WHERE begun < ? ORDER BY begun LIMIT ?"
        believed = "EXISTS (SELECT 1 FROM runs WHERE begun BETWEEN ? AND ?)"
        times = (now - DAYS * _DAY, _MOST_REMOVED, now - _RECENT * _DAY, now - _DAY)
        connection.execute(f"DELETE FROM runs WHERE id IN ({old}) AND {believed}", times)

    return history_file.write(folders, act)[1]


def past(folders: Folders, target: str, job: str) -> tuple[Window, Window]:
    """Return a job's last good sizes, as (files, original), and durations; raise HistoryUnusable.

    A run about which there was an alert counts once a person has accepted that; what was before it then counts no more.
    """

    def act(connection: "Connection") -> tuple[Window, Window]:
        return windows(connection, target, job)

    return history_file.read(folders, act) or (Window(), Window())


def windows(connection: "Connection", target: str, job: str, before: int = _LARGEST) -> tuple[Window, Window]:
    """Return what `past` does, of the rows below the id `before`; of none where a person has accepted that row."""
    sizes = _window(connection, (target, job, before), "shrunken", "files, original")
    return sizes, _window(connection, (target, job, before), "slow", "duration")


def _window(connection: "Connection", whose: tuple[str, str, int], alert: str, columns: str) -> Window:
    (first,) = connection.execute(
        f"SELECT max(id) FROM runs WHERE target = ? AND job = ? AND id <= ? AND {alert} = {ACCEPTED}", whose
    ).fetchone()
    known = " AND ".join(f"{column} IS NOT NULL" for column in columns.split(", "))
    rows = connection.execute(
        f"SELECT {columns} FROM runs WHERE target = ? AND job = ? AND id < ? AND id >= ? AND {known}"
        f" AND ({alert} = {ACCEPTED} OR ({alert} = {NOT} AND {IS_GOOD})) ORDER BY id DESC LIMIT {MOST}",
        (*whose, first or 0),
    )
    return Window(tuple(rows.fetchall()), first is not None)


def runs(folders: Folders, targets: Sequence[str], since: float | None) -> Iterator[Run]:
    """Yield runs as they were recorded, those of all targets where none is named; raise HistoryUnusable."""
    which, words = ["id > ?"], [*targets]
    if targets:
        which.append(f"target IN ({', '.join('?' * len(targets))})")
    moment = (since,) if since is not None else ()
    which += ["begun >= ?"] * len(moment)
    query = f"SELECT id, {', '.join(Run._fields)} FROM runs WHERE {' AND '.join(which)} ORDER BY id LIMIT {_PAGE}"
    last = 0
    while rows := history_file.read(folders, partial(_rows, query, (last, *words, *moment))):
        yield from (Run._make(row[1:]) for row in rows)
        last = rows[-1][0]


def _rows(query: str, words: tuple[object, ...], connection: "Connection") -> list[tuple[Any, ...]]:
    return connection.execute(query, words).fetchall()


def accept(folders: Folders, name: TargetName) -> str | None:
    """Take each job's last run as normal, if there is an alert about it; return as `append` does."""

    def act(connection: "Connection") -> None:
        for alert, known in (
            ("shrunken", f"files IS NOT NULL AND (shrunken = {RAISED} OR {IS_GOOD})"),
            ("slow", IS_GOOD),
        ):
            newest = f"SELECT max(id) FROM runs WHERE target = ? AND job IS NOT NULL AND {known} GROUP BY job"
            connection.execute(
                f"UPDATE runs SET {alert} = {ACCEPTED} WHERE {alert} = {RAISED} AND id IN ({newest})", (str(name),)
            )

    return history_file.write(folders, act, create=False)[1]


def rename(folders: Folders, old: TargetName, new: TargetName) -> str | None:
    """Give a target's rows its new name; return as `append` does."""

    def act(connection: "Connection") -> None:
        connection.execute("DELETE FROM runs WHERE target = ?", (str(new),))  # of one that was removed
        connection.execute("UPDATE runs SET target = ? WHERE target = ?", (str(new), str(old)))

    return history_file.write(folders, act, create=False)[1]


def remove(folders: Folders, name: TargetName) -> str | None:
    """Remove a target's rows; return as `append` does."""
    words = (str(name),)
    act = "DELETE FROM runs WHERE target = ?"
    return history_file.write(folders, lambda connection: connection.execute(act, words), create=False)[1]
