"""Job status: how one job of a target stands, or the target itself where it is about no job.

It judges nothing: `status` does.

    >>> str(Row("web1", "default", "ok", age=7200.0))
    'web1 default: ok, last good 2 h 0 min ago'
"""

from typing import Any

from borgctl.console.text import elapsed
from borgctl.data_class import dataclass
from borgctl.pull.report.job_trend import Trend
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.state.state import Past
from borgctl.text import iso, printable, printable_excerpt
from borgctl.wire.frames import GOOD

_LEVELS = dict.fromkeys(("ok", "seen", "paused"), 0) | dict.fromkeys(("warning", "failing", "new", "not-ready"), 1)
_LEVELS |= dict.fromkeys(("overdue", "never", "invalid", "unusable"), 2)
_OF_TARGET = ("paused", "not-ready", "unusable", "invalid")
POSSIBLE_ATTACK = "POSSIBLE ATTACK"


@dataclass(frozen=True, slots=True)
class Row:
    """One job of a target, or the target itself where `job` is None; `state` is a key of the levels.

    `expect` is how old the last good run may be, in seconds; `assumed`: it is our default.
    `failing`: for how many seconds there has been no good run, where the last was not good; `accepted`:
    a person has looked since then. `trend`: what the history has of the last good run.
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
    trend: Trend | None = None

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

    @property
    def is_of_runs(self) -> bool:
        """Tell whether it says how runs go, and not what a run needs."""
        return self.state not in _OF_TARGET

    @property
    def is_overdue(self) -> bool:
        """Tell whether the last good run is too old, or there was none in time."""
        return self.state in ("overdue", "never")

    @property
    def is_failing(self) -> bool:
        """Tell whether the last run has failed, where that is judged."""
        judged = self.is_of_runs and self.state != "seen"
        return judged and self.last is not None and self.last.outcome not in GOOD

    @property
    def title(self) -> str:
        """Return what it is about, fit for a terminal: the target, and the job."""
        return printable(f"{self.target} {self.job}" if self.job else self.target)

    @property
    def words(self) -> str:
        """Return what there is to say of it, fit for a terminal."""
        parts = [self.state]
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

    def __str__(self) -> str:
        return f"{self.title}: {self.words}"

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        names = {"job": self.job, "state": self.state, "text": self.text}
        age = None if self.age is None else round(self.age)
        expected = {"expect": self.expect, "expect_said": self.expect is not None and not self.assumed}
        told = {"possible_attack": self.suspicious, "last": _past(self.last), "good": _past(self.good)}
        return {**names, "age": age, **expected, **told, "trend": self.trend and self.trend.plain}


def _past(one: Past | None) -> dict[str, Any] | None:
    if one is None:
        return None
    why = {"outcome": one.outcome, "reason": one.reason, "detail": one.detail, "run": one.run}
    return {"time": iso(one.time), **why, "since": None if one.since is None else iso(one.since)}
