"""Fleet summary: how the runs of many targets ended, in a few lines: what went wrong comes first, with what to do.

summary = FleetSummary(); summary.add(report); summary.lines(seconds=720.0)
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from borgctl.console.text import elapsed
from borgctl.data_class import replace
from borgctl.pull.report.outcome import SKIPPED
from borgctl.pull.report.report import RunReport, advice_of, counted_as
from borgctl.pull.state.state import Alert
from borgctl.pull.targets.owner import typed
from borgctl.text import size

KINDS = ("failed", "refused", "unreachable", "warnings", "ok", "skipped")  # in the order of the lines
_UNREACHABLE = ("ssh-failed", "connection-lost", "no-hello")
_REFUSED = ("refused", "malformed")


def kind(report: RunReport) -> str:
    """Return what a run counts as: one of KINDS; one with an alert is a warning at least."""
    outcome, verdict = counted_as(report), report.verdict
    if outcome == SKIPPED:
        return "skipped"
    if outcome == "warning":
        return "warnings"
    if outcome == "ok":
        return "ok"
    if outcome in _REFUSED:
        return "refused"
    ours = verdict.origin in ("ssh", "launcher")  # the client's own word for it proves nothing
    return "unreachable" if ours and verdict.reason in _UNREACHABLE else "failed"


class _Run(NamedTuple):
    """A job's last run: its kind, the outcome it counts as, its line, and the alerts of all its runs in this call."""

    what: str
    outcome: str
    line: str
    alerts: tuple[Alert, ...]


class FleetSummary:
    """Counts, and a line for each run that somebody has to look at; a report itself is not kept.

    A job that ran several times in one call counts once: by its last run, with the alerts of all.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str | None], _Run] = {}
        self._original = self._new = 0

    def add(self, report: RunReport) -> None:
        """Count a run; one that is tried again counts when it has ended for good."""
        if report.again:
            return
        totals = report.transcript.totals()
        if totals is not None:
            self._original, self._new = self._original + totals.original, self._new + totals.new
        whole, job = (report.target, None), (report.target, report.job)
        if kind(report) == "skipped" and whole in self._runs:
            return  # a target that is left out is no better than before
        # a run of a job is there, so what kept the whole target from running has passed
        earlier = [self._runs.pop(key).alerts for key in dict.fromkeys((whole, job)) if key in self._runs]
        alerts = {alert.reason: alert for alerts in (*earlier, report.alerts) for alert in alerts}
        report = replace(report, alerts=tuple(alerts.values()))
        what = kind(report)
        self._runs[job] = _Run(what, counted_as(report), _line(what, report), report.alerts)

    def outcomes(self) -> list[str]:
        """Return what each run counts as."""
        return [run.outcome for run in self._runs.values()]

    def lines(self, seconds: float, missed: int = 0) -> Iterator[str]:
        """Yield what went wrong, the worst first, then the counts; `missed` had no turn."""
        runs = sorted(self._runs.values(), key=lambda run: KINDS.index(run.what))
        yield from (run.line for run in runs if run.what not in ("ok", "skipped"))
        number = Counter(run.what for run in runs)
        counts = [f"{number[what]} {_NAMES.get(what, what)}" for what in KINDS if number[what]]
        counts += [f"{missed} without a turn"] if missed else []
        sizes = f", {size(self._original)} original, {size(self._new)} new" if self._original else ""
        yield f"all: {', '.join(counts) or 'nothing was due'}{sizes}, {elapsed(seconds)}"


_NAMES = {"warnings": "with warnings"}


def _line(what: str, report: RunReport) -> str:
    reasons = [report.verdict.reason or "", *(alert.reason for alert in report.alerts)]
    why = ", ".join(dict.fromkeys(filter(None, reasons))) or f"{report.verdict.origin}: status {report.verdict.code}"
    hint = advice_of(report)
    return f"{what}: {report.title}: {why}{f': {typed(hint)}' if hint else ''}"
