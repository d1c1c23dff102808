"""Target status: write how one target and its jobs stand, for people, for programs and for monitoring.

It judges nothing: `status` does.

    >>> str(Row("web1", "default", "ok", age=7200.0))
    'web1 default: ok, last good 2 h 0 min ago'
"""

from collections.abc import Iterator
from typing import Any

from borgctl.console.text import elapsed
from borgctl.data_class import dataclass
from borgctl.pull.report.record_run import alert_line
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.report.untold import Untold
from borgctl.pull.state.state import Alert, Past, State
from borgctl.text import iso, printable_excerpt
from borgctl.wire.frames import GOOD

_LEVELS = dict.fromkeys(("ok", "seen", "paused"), 0) | dict.fromkeys(("warning", "failing", "new", "not-ready"), 1)
_LEVELS |= dict.fromkeys(("overdue", "never", "invalid", "unusable"), 2)
_AT_WORK = {
    "run": "running",
    "hello": "asking the client for its jobs",
    "window": "a window is open",
    "borg": "a request is running",
}
POSSIBLE_ATTACK = "POSSIBLE ATTACK"
_NAGIOS = ("OK", "WARNING", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Row:
    """One job of a target, or the target itself where `job` is None; `state` is a key of the levels.

    `expect` is how old the last good run may be, in seconds; `assumed`: it is our default.
    `failing`: for how many seconds there has been no good run, where the last was not good; `accepted`:
    a person has looked since then.
    """

    target: str
    job: str | None
    state: str
    age: float | None = None
    expect: int | None = None
    assumed: bool = False
    last: Past | None = None
    good: Past | None = None
    text: str | None = None
    failing: float | None = None
    accepted: bool = False

    @property
    def level(self) -> int:
        """Return 0, 1 or 2."""
        return 2 if self.suspicious else _LEVELS[self.state]

    @property
    def suspicious(self) -> bool:
        """Tell whether the last run failed in a way that may be an attack, and nobody has looked since."""
        if self.last is None or self.last.outcome in GOOD or self.accepted:
            return False
        return suspicious(self.last.reason, self.last.detail)

    def __str__(self) -> str:
        title = f"{self.target} {self.job}" if self.job else self.target
        parts = [f"{title}: {self.state}"]
        if self.text:
            parts.append(self.text)
        if self.age is not None:
            parts.append(f"last good {elapsed(self.age)} ago")
        if self.expect is not None and (self.assumed or self.state in ("overdue", "never", "new")):
            parts.append(f"expected every {elapsed(self.expect)}{' (default)' if self.assumed else ''}")
        if self.last is not None and self.last != self.good:
            why = ": ".join(filter(None, (self.last.reason, self.last.detail)))
            parts.append(f"last run {self.last.outcome}{f' ({why})' if why else ''}")
        if self.failing is not None:
            parts.append(f"failing for {elapsed(self.failing)}")
        if self.last is not None and self.last.outcome != "ok" and self.last.run is not None:
            parts.append(f"run {self.last.run}")
        if self.suspicious:
            parts.append(POSSIBLE_ATTACK)
        return printable_excerpt(", ".join(parts))

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        names = {"job": self.job, "state": self.state, "text": self.text}
        age = None if self.age is None else round(self.age)
        expected = {"expect": self.expect, "expect_said": self.expect is not None and not self.assumed}
        told = {"possible_attack": self.suspicious, "last": _past(self.last), "good": _past(self.good)}
        return {**names, "age": age, **expected, **told}


@dataclass(frozen=True, slots=True)
class AtWork:
    """What a launcher does with the target now, for so many seconds: a run of this job, hello, or a window."""

    kind: str
    job: str | None
    seconds: float

    def __str__(self) -> str:
        return f"{_AT_WORK[self.kind]} for {elapsed(self.seconds)}"

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"kind": self.kind, "job": self.job, "seconds": round(self.seconds)}


@dataclass(frozen=True, slots=True)
class Standing:
    """A target: its rows, its state with the alerts, what a launcher does with it now, and who could not be told."""

    target: str
    rows: tuple[Row, ...]
    state: State
    at_work: AtWork | None = None
    untold: tuple[Untold, ...] = ()

    @property
    def level(self) -> int:
        """Return 0, 1 or 2."""
        return max([2 if self.state.alerts else 0, 1 if self.untold else 0, *(row.level for row in self.rows)])

    @property
    def suspicious(self) -> bool:
        """Tell whether anything here may be an attack."""
        return any(row.suspicious for row in self.rows) or any(map(suspicious, self.state.alerts))

    @property
    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        busy, work = self.at_work and self.at_work.job, self.at_work
        for row in self.rows:
            yield f"{row}, {work}" if busy is not None and row.job == busy else str(row)
        if work is not None and busy not in [row.job for row in self.rows if row.job]:
            yield f"{self.target}{f' {busy}' if busy else ''}: {work}"
        for alert in self.state.alerts.values():
            yield f"{self.target}: {alert_line(alert)}{f', {POSSIBLE_ATTACK}' if suspicious(alert.reason) else ''}"
        yield from map(str, self.untold)

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON; times as ISO 8601, ages in seconds."""
        return {
            "target": self.target,
            "status": self.level,
            "possible_attack": self.suspicious,
            "running": self.at_work and self.at_work.plain,
            "jobs": [row.plain for row in self.rows],
            "head": self.state.head and str(self.state.head),
            "repository": self.state.repository,
            "alerts": [
                {**_alert(one), "count": one.count, "first": iso(one.time)} for one in self.state.alerts.values()
            ],
            "untold": [one.plain for one in self.untold],
            "accepted": [
                {"time": iso(one.time), "by": one.by, "reason": one.reason, "alerts": one.alerts}
                for one in self.state.accepted
            ],
        }


def _past(one: Past | None) -> dict[str, Any] | None:
    if one is None:
        return None
    why = {"outcome": one.outcome, "reason": one.reason, "detail": one.detail, "run": one.run}
    return {"time": iso(one.time), **why, "since": None if one.since is None else iso(one.since)}


def _alert(one: Alert) -> dict[str, Any]:
    return {"reason": one.reason, "text": one.text, "possible_attack": suspicious(one.reason)}


def nagios(standings: list[Standing]) -> str:
    """Write one line as a monitoring plugin does: what is wrong first, then ages as performance data."""
    level = max((standing.level for standing in standings), default=2)
    rows = sorted((row for standing in standings for row in standing.rows if row.level), key=lambda row: -row.level)
    wrong = [str(row) for row in rows]
    wrong += [
        f"{standing.target}: ALERT {alert.reason}{f' ({POSSIBLE_ATTACK})' if suspicious(alert.reason) else ''}"
        for standing in standings
        for alert in standing.state.alerts.values()
    ]
    wrong += [f"{one.target}: {one.brief}" for standing in standings for one in standing.untold]
    paused = sum(row.state == "paused" for standing in standings for row in standing.rows)
    count = f"{len(standings)} target{'s' if len(standings) != 1 else ''}{f', {paused} paused' if paused else ''}"
    summary = "; ".join(wrong) or count
    ages = [
        f"'{row.target}_{row.job}'={round(row.age)}s;;{row.expect or ''}"
        for standing in standings
        for row in standing.rows
        if row.age is not None
    ]
    ages_text = f" | {' '.join(ages)}" if ages else ""
    return f"BORGPULL {_NAGIOS[level]} - {_plugin_text(summary)}{ages_text}"


def nagios_of(error: str) -> str:
    """Write the line of a monitoring plugin for what keeps every target from being judged."""
    return f"BORGPULL {_NAGIOS[2]} - {_plugin_text(error.partition(chr(10))[0])}"


def _plugin_text(text: str) -> str:
    return printable_excerpt(text).replace("|", "/")
