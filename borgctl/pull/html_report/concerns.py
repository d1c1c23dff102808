"""Concerns: what in a fleet needs a person, the worst first, each with what to do about it.

The words are those of `borgpull status`; what to do is from the tables of reasons. Nothing here reads a file.

    for concern in concerns(standings): concern.level, concern.text, concern.advice
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from borgctl.pull.client.transcript import Message
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.hints import ADVICE, SSH, advice, advice_for
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.record_run import alert_line
from borgctl.pull.report.suspicion import suspicious
from borgctl.pull.report.target_status import Standing
from borgctl.pull.state.state import Alert, Past
from borgctl.reasons import REASONS
from borgctl.wire.frames import GOOD

LEVELS = ("ok", "warning", "critical", "attack")  # the last: it may be one
_LOOK = "find out what it was before you accept, compact or replace anything"
_ACCEPT = "when you have looked: borgpull accept TARGET --reason TEXT"
_ADVICE = {
    "invalid": "to see every mistake: borgpull targets",
    "never": "to see whether a pull would work: borgpull test TARGET",
    "new": "to see whether a pull would work: borgpull test TARGET",
    "overdue": "no run was recorded since: does the timer run? to run it now: borgpull run TARGET",
}


class Concern(NamedTuple):
    """One of LEVELS, the target, a sentence, and what to do, if that is known."""

    level: str
    target: str
    text: str
    advice: str | None = None


def concerns(standings: Iterable[Standing]) -> tuple[Concern, ...]:
    """Return all of them, possible attacks first, then what is critical; alike ones by target."""
    found = (concern for standing in standings for concern in of_target(standing) if concern.level != LEVELS[0])
    return tuple(sorted(found, key=lambda concern: (-LEVELS.index(concern.level), concern.target)))


def of_target(standing: Standing) -> Iterator[Concern]:
    """Yield a target's alerts and its rows, also those where all is well."""
    for alert in standing.state.alerts.values():
        yield _of_alert(standing.target, alert)
    for row in standing.rows:
        yield Concern(level(row), standing.target, str(row), _advice_on_row(row) if row.level else None)


def level(of: Row | Standing) -> str:
    """Return the level of a row, or the worst of a target."""
    return LEVELS[-1] if of.suspicious else LEVELS[of.level]


def _of_alert(target: str, alert: Alert) -> Concern:
    attack, text = suspicious(alert.reason), f"{target}: {alert_line(alert)}"
    accept = (f"{_LOOK}; {_ACCEPT}" if attack else _ACCEPT).replace("TARGET", target)
    what = advice_for(alert.reason, target) if alert.reason in ADVICE else accept
    return Concern(LEVELS[-1] if attack else LEVELS[2], target, text, what)


def _advice_on_row(row: Row) -> str | None:
    last = row.last
    if last is not None and last.outcome not in GOOD:
        return _advice_on_run(last, row.target) or (_LOOK if row.suspicious else None)
    return _ADVICE[row.state].replace("TARGET", row.target) if row.state in _ADVICE else None


def _advice_on_run(last: Past, target: str) -> str | None:
    """Return what to do about a run; None for a reason of both sides: who gave it is not kept."""
    if last.reason == "ssh-failed":
        return advice_for(last.detail if last.detail in SSH else "ssh", target)
    if last.reason is None:
        return advice(Verdict(last.outcome, "borg"), [Message("borg", "ERROR", "", last.detail)], target)
    if last.reason in ADVICE:
        return None if last.reason in REASONS else advice_for(last.reason, target)
    return REASONS[last.reason].advice if last.reason in REASONS else None
