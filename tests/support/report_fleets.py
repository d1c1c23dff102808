"""Fleets for a page to show: targets as `borgpull status` judges them, and their past runs.

well(now), hostile(text, now)          (standings, runs), as values
kept(world, now)                       the same kinds of targets as files: good, failing, overdue, attacked, …
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from borgctl.pull.report.job_status import Row
from borgctl.pull.report.target_status import AtWork, Standing
from borgctl.pull.state import history, state_file
from borgctl.pull.state.history import Run
from borgctl.pull.state.state import Acceptance, Alert, JobRecord, Past, State
from borgctl.pull.targets.paths import TargetName

HOUR, DAY = 3600.0, 86400.0
LONG = "A" * 10_000
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)><x y="',
    "' onload='alert(1)",
    "]]></title></style></svg><script>alert(1)</script><!--",
    "{{ 7 * 7 }}{% raw %}{# x #}",
    "&lt;b&gt;&#x202e;&amp;",
    "\u202egpj.exe\u2066 \u05d0\u05d1 \u200f",
    "\x1b[2J\x00\r\n\x07\x9b",
    "javascript:alert(1) é \U0001f4a3 \ud800",
    LONG,
)


def backup(target, begun, *, job="default", outcome="ok", number=0, **fields):
    """Return a run of a job that makes archives, a little larger each time."""
    good = outcome in ("ok", "warning")
    made = {
        "command": "create",
        "archive": f"{target}-{job}-{number}" if good else None,
        "files": 1000 + number if good else None,
        "original": 10**9 + number * 10**7 if good else None,
        "put_bytes": 10**7 + (number % 7) * 10**6 if good else None,
    }
    took = 60.0 + (number % 5) * 10 if good else 3.0
    return Run(
        target,
        "run",
        job,
        **(
            {"run": None, "begun": begun, "ended": begun + took}
            | made
            | {"duration": took, "outcome": outcome}
            | fields
        ),
    )


def well(now):
    """Return one target where all is well, and a run of each of its last 40 days."""
    good = Past(now - HOUR, "ok")
    state = State(jobs={"default": JobRecord(good, good, "create")})
    row = Row("web1", "default", "ok", HOUR, 26 * 3600, last=good, good=good)
    runs = [backup("web1", now - HOUR - day * DAY, number=40 - day) for day in reversed(range(40))]
    return [Standing("web1", (row,), state)], runs


def hostile(text, now):
    """Return a target that has `text` wherever text can be."""
    last = Past(now - HOUR, f"x{text}", text, text, now - DAY, text)
    alerts = {text: Alert(text, text, now, 3, now), "rpc-refused": Alert("rpc-refused", text, now)}
    state = State(jobs={text: JobRecord(last, None, None)}, alerts=alerts)
    state.accepted = [Acceptance(now, text, text, (text,))]
    rows = (
        Row(text, text, "failing", DAY, 3600, last=last, good=last, text=text, failing=DAY),
        Row(text, None, "invalid", text=text),
    )
    runs = [
        Run(text, kind, text, text, text, now - HOUR, None, 1.5, f"x{text}", text, text, 1, 2, 3, 4, 5, 6, 7)
        for kind in ("run", f"x{text}")
    ]
    return [Standing(text, rows, state, AtWork("run", text, 5.0))], runs


def kept(world, now):
    """Write a fleet into a world's folders; its alerts, reasons and archives are as hostile as files can have them."""
    for name in ("web1", "web2", "db2", "old", "mail"):
        world.local([], name=name, expect="26h")
    world.local([], name="db1", expect="26h", jobs="[default, prune]")
    world.local([], name="away", paused='{until: 2999-01-01, reason: "<b>moves</b>"}')
    Path(world.folders.target(TargetName("broken"))).write_text("host: -oProxyCommand=x\nbogus: 1\n")
    good = Past(now - HOUR, "ok")
    worse = Past(now - HOUR, "failed", None, "StorageQuotaExceeded", now - 2 * DAY, "run-17")
    replayed = Past(now - HOUR, "failed", None, "Cache.RepositoryReplay", now - HOUR, "run-18")
    warned = Past(now - HOUR, "warning")
    states = {
        "web1": State(jobs={"default": JobRecord(good, good, "create")}),
        "web2": State(jobs={"default": JobRecord(worse, Past(now - 3 * DAY, "ok"), "create")}),
        "db1": State(jobs={"default": JobRecord(warned, warned, "create"), "prune": JobRecord(good, good, "prune")}),
        "db2": State(jobs={"default": JobRecord(replayed, good, "create")}),
        "away": State(jobs={"default": JobRecord(good, good, "create")}),
        "old": State(jobs={"default": JobRecord(Past(now - 40 * DAY, "ok"), Past(now - 40 * DAY, "ok"), "create")}),
    }
    for number, text in enumerate(HOSTILE):
        states["db2"].alerts[f"made-up-{number}"] = Alert(text, text, now - DAY, number + 1, now)
    states["web1"].alert("backup-shrunken", "job default: 3 files, 12 kB; the last 10 good runs had 1000 files", now)
    states["db2"].alert("rpc-refused", "job default: the client's borg was asked for destroy", now)
    for name, state in states.items():
        state_file.save(world.folders, TargetName(name), state)
    for name in ("mail", "old", "web2"):
        os.utime(world.folders.target(TargetName(name)), (now - 50 * DAY,) * 2)
    first, *others = [run for day in reversed(range(40)) for run in _night(now - HOUR - day * DAY, day)]
    history.append(world.folders, first, now)  # it makes the file
    with contextlib.closing(sqlite3.connect(world.folders.history)) as connection:
        names, marks = ", ".join(Run._fields), ", ".join("?" * len(Run._fields))
        connection.executemany(f"INSERT INTO runs ({names}) VALUES ({marks})", others)
        rows = connection.execute("SELECT id FROM runs WHERE target = 'db2' ORDER BY id DESC LIMIT 10").fetchall()
        for (row,), text in zip(rows, HOSTILE, strict=True):
            words = [text.encode("utf-8", "replace").decode("utf-8")] * 5  # a column holds no lone surrogate
            query = "UPDATE runs SET kind = ?, command = ?, outcome = ?, reason = ?, archive = ? WHERE id = ?"
            connection.execute(query, (*words, row))
        connection.commit()


def _night(begun, day):
    """Return the runs of a night, of which some are not good."""
    runs = []
    for place, name in enumerate(("web1", "web2", "db1", "db2", "away")):
        failed = (day * 7 + place) % 11 == 0 or (name == "web2" and day < 3)
        fields = {"outcome": "failed", "reason": "no-space"} if failed else {}
        runs.append(backup(name, begun, number=(40 - day) * (place + 1), **fields))
    return [*runs, backup("db1", begun + 600, job="prune", command="prune", original=None, files=None)]
