"""Target status: how one target and its jobs stand, and how that is written as lines and as JSON.

It judges nothing: `status` does. `nagios`, `status_table` and `metrics` write the same in other forms.

    for line in standing.lines: print(line)
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from borgctl.console.text import elapsed
from borgctl.data_class import dataclass
from borgctl.pull.report.job_status import POSSIBLE_ATTACK, Row
from borgctl.pull.report.record_run import alert_line
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.report.untold import Untold
from borgctl.pull.state.state import Alert, State
from borgctl.text import iso, printable

_AT_WORK = {
    "run": "running",
    "hello": "asking the client for its jobs",
    "window": "a window is open",
    "borg": "a request is running",
}


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


class Line(NamedTuple):
    """A line for people, fit for a terminal: what it is about, and its words; `calm`: it says only that all is well."""

    title: str
    words: str
    level: int
    calm: bool = False

    def __str__(self) -> str:
        return f"{self.title}: {self.words}"


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

    def has(self, *states: str) -> bool:
        """Tell whether a row has one of these states."""
        return any(row.state in states for row in self.rows)

    @property
    def lines(self) -> Iterator[Line]:
        """Yield it for people."""
        busy, work = self.at_work and self.at_work.job, self.at_work
        for row in self.rows:
            if busy is not None and row.job == busy:
                yield Line(row.title, f"{row.words}, {work}", row.level)
            else:
                yield Line(row.title, row.words, row.level, calm=row.level == 0 and row.is_of_runs)
        if work is not None and busy not in [row.job for row in self.rows if row.job]:
            yield Line(printable(f"{self.target} {busy}" if busy else self.target), str(work), 0)
        for alert in self.state.alerts.values():
            attack = f", {POSSIBLE_ATTACK}" if suspicious(alert.reason) else ""
            yield Line(printable(self.target), f"{alert_line(alert)}{attack}", 2)
        yield from (Line(printable(self.target), one.words, 1) for one in self.untold)

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON; times as ISO 8601, ages in seconds."""
        return {
            "target": self.target,
            "status": self.level,
            "possible_attack": self.suspicious,
            "paused": self.has("paused"),
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


def _alert(one: Alert) -> dict[str, Any]:
    return {"reason": one.reason, "text": one.text, "possible_attack": suspicious(one.reason)}
