"""status: how all targets stand, from their files and states alone; asks nobody.

Overdue is what `expect` in the target file says. Judged are the target's jobs, or where it names none those that have
made archives; and each other job that has ever gone well; and the last attempt, if it failed before it came to a job.
Alerts stand until a person accepts them.

    report = standing(folders, ["web1"], now); report.status      0 all well, 1 warnings, 2 critical
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from borgctl.errors import BadValue
from borgctl.prose import elapsed
from borgctl.pull import state as states
from borgctl.pull.errors import PullError
from borgctl.pull.folders import Folders, TargetName
from borgctl.pull.memory import alerted, iso
from borgctl.pull.outcome import GOOD
from borgctl.pull.repository.inspection import problem
from borgctl.pull.run import obstacle
from borgctl.pull.state import Job, Past, State
from borgctl.pull.targets import Target, load
from borgctl.pull.text import shown

_LEVELS = dict.fromkeys(("ok", "seen"), 0) | dict.fromkeys(("warning", "failing", "not-ready"), 1)
_LEVELS |= dict.fromkeys(("overdue", "never", "invalid", "unusable"), 2)
_AHEAD = 300.0  # seconds: a good run that is still to come says nothing of how long ago it was
_NAGIOS = ("OK", "WARNING", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Row:
    """One job of a target, or the target itself where `job` is None; `state` is a key of the levels."""

    target: str
    job: str | None
    state: str
    age: float | None = None
    expect: int | None = None
    last: Past | None = None
    good: Past | None = None
    text: str | None = None

    @property
    def level(self) -> int:
        """Return 0, 1 or 2; without `expect` nothing is overdue, so nothing is critical about never."""
        return 1 if self.state == "never" and self.expect is None else _LEVELS[self.state]

    def __str__(self) -> str:
        title = f"{self.target} {self.job}" if self.job else self.target
        parts = [f"{title}: {self.state}"]
        if self.text:
            parts.append(self.text)
        if self.age is not None:
            expected = f", expected every {elapsed(self.expect)}" if self.expect and self.state == "overdue" else ""
            parts.append(f"last good {elapsed(self.age)} ago{expected}")
        if self.last is not None and self.last != self.good:
            parts.append(f"last run {self.last.outcome}{f' ({self.last.reason})' if self.last.reason else ''}")
        return shown(", ".join(parts))


@dataclass(frozen=True, slots=True)
class Standing:
    """A target: its rows, its alerts, and what is kept of its client's audit log."""

    target: str
    rows: tuple[Row, ...]
    state: State

    @property
    def level(self) -> int:
        """Return 0, 1 or 2."""
        return max([2 if self.state.alerts else 0, *(row.level for row in self.rows)])

    @property
    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        yield from map(str, self.rows)
        for alert in self.state.alerts.values():
            yield f"{self.target}: {alerted(alert)}"

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON; times as ISO 8601, ages in seconds."""
        return {
            "target": self.target,
            "status": self.level,
            "jobs": [_plain(row) for row in self.rows],
            "head": self.state.head and str(self.state.head),
            "repository": self.state.repository,
            "alerts": [
                {"reason": one.reason, "text": one.text, "count": one.count, "first": iso(one.time)}
                for one in self.state.alerts.values()
            ],
            "accepted": [
                {"time": iso(one.time), "by": one.by, "reason": one.reason, "alerts": one.alerts}
                for one in self.state.accepted
            ],
        }


def standings(folders: Folders, names: Iterable[str], now: float) -> Iterator[Standing]:
    """Yield how each target stands."""
    for text in names:
        try:
            name = TargetName(text)
            target = load(folders, name)
            state = states.load(folders, name)
        except (PullError, BadValue) as error:
            yield Standing(text, (Row(text, None, "invalid", text=str(error).partition("\n")[0]),), State())
            continue
        yield Standing(text, tuple(_rows(target, state, now)), state)


def _rows(target: Target, state: State, now: float) -> Iterator[Row]:
    name = str(target.name)
    if (unready := obstacle(target)) is not None:
        yield Row(name, None, "not-ready", text=unready.reason)
    wrong = problem(target, state)
    if wrong is not None and not wrong.hidden:
        yield Row(name, None, "unusable", text=f"{wrong.reason}: {wrong.text}")
    expected = [str(job) for job in target.jobs] if target.jobs is not None else _archiving(state)
    for job in expected:
        yield _row(name, job, state.jobs.get(job), target.expect, now)
    for job, kept in state.jobs.items():
        if job not in expected:
            row = _row(name, job, kept, None, now)
            judged = kept.good is not None and kept.command != "init"
            yield row if judged else Row(name, job, "seen", row.age, last=kept.last, good=kept.good)
    failed = state.last if state.last and state.last.outcome not in GOOD else None
    if not expected:
        yield Row(name, None, "never", expect=target.expect, last=failed)
    elif failed and failed not in [job.last for job in state.jobs.values()]:  # it came to no job
        yield Row(name, None, "failing", text=f"tried {elapsed(max(0.0, now - failed.time))} ago", last=failed)


def _archiving(state: State) -> list[str]:
    return [name for name, job in state.jobs.items() if job.command == "create"]


def _row(target: str, name: str, job: Job | None, expect: int | None, now: float) -> Row:
    if job is None or job.good is None:
        return Row(target, name, "never", expect=expect, last=job.last if job else None)
    age, ahead = max(0.0, now - job.good.time), job.good.time > now + _AHEAD
    if expect is not None and (age > expect or ahead):
        found = "overdue"
    elif job.last.outcome not in GOOD:
        found = "failing"
    else:
        found = job.last.outcome
    text = (
        f"the last good run is of {iso(job.good.time)}, which is still to come: the clock went back" if ahead else None
    )
    return Row(target, name, found, age, expect, job.last, job.good, text)


def nagios(found: list[Standing]) -> str:
    """Write it as a monitoring plugin does: one line, what is wrong first, then ages as performance data."""
    level = max((one.level for one in found), default=2)
    wrong = [str(row) for one in found for row in one.rows if row.level]
    wrong += [f"{one.target}: ALERT {alert.reason}" for one in found for alert in one.state.alerts.values()]
    told = "; ".join(wrong) or f"{len(found)} target{'s' if len(found) != 1 else ''}"
    ages = [
        f"'{row.target}_{row.job}'={round(row.age)}s;;{row.expect or ''}"
        for one in found
        for row in one.rows
        if row.age is not None
    ]
    return f"BORGPULL {_NAGIOS[level]} - {shown(told).replace('|', '/')}" + (f" | {' '.join(ages)}" if ages else "")


def _plain(row: Row) -> dict[str, Any]:
    def past(one: Past | None) -> dict[str, Any] | None:
        return None if one is None else {"time": iso(one.time), "outcome": one.outcome, "reason": one.reason}

    names = {"job": row.job, "state": row.state, "text": row.text}
    age = None if row.age is None else round(row.age)
    return {**names, "age": age, "expect": row.expect, "last": past(row.last), "good": past(row.good)}
