"""Fleet summary: how the runs of many targets ended, in a few lines: what went wrong comes first, with what to do.

summary = FleetSummary(); summary.add(report); summary.lines(seconds=720.0)
"""

from collections import Counter
from collections.abc import Iterator

from borgctl.console.text import elapsed
from borgctl.pull.report.outcome import SKIPPED
from borgctl.pull.report.report import RunReport, advice_of, counted_as
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


class FleetSummary:
    """Counts, and a line for each run that somebody has to look at; a report itself is not kept."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._wrong: list[tuple[int, str]] = []
        self._original = self._new = 0

    def add(self, report: RunReport) -> None:
        """Count a run; one that is tried again counts when it has ended for good."""
        if report.again:
            return
        what, totals = kind(report), report.transcript.totals()
        self._counts[what] += 1
        if totals is not None:
            self._original, self._new = self._original + totals.original, self._new + totals.new
        if what not in ("ok", "skipped"):
            self._wrong.append((KINDS.index(what), _line(what, report)))

    def lines(self, seconds: float, missed: int = 0) -> Iterator[str]:
        """Yield what went wrong, the worst first, then the counts; `missed` had no turn as a signal came."""
        yield from (line for _, line in sorted(self._wrong, key=lambda wrong: wrong[0]))
        counts = [f"{self._counts[what]} {_NAMES.get(what, what)}" for what in KINDS if self._counts[what]]
        counts += [f"{missed} without a turn"] if missed else []
        sizes = f", {size(self._original)} original, {size(self._new)} new" if self._original else ""
        yield f"all: {', '.join(counts) or 'nothing was due'}{sizes}, {elapsed(seconds)}"


_NAMES = {"warnings": "with warnings"}


def _line(what: str, report: RunReport) -> str:
    reasons = [report.verdict.reason or "", *(alert.reason for alert in report.alerts)]
    why = ", ".join(dict.fromkeys(filter(None, reasons))) or f"{report.verdict.origin}: status {report.verdict.code}"
    hint = advice_of(report)
    return f"{what}: {report.title}: {why}{f': {typed(hint)}' if hint else ''}"
