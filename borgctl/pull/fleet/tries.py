"""Tries: what is told of one target's tries. A failure that is tried again is owed until a later run of its job ended.

tries = Tries(launcher.stop, tell)
tries.last = False                      # another try follows
tries.tell(report)                      # which then has `again`, if it may pass, and is in `owed`
tries.settle()
"""

from borgctl.data_class import replace
from borgctl.pull.fleet import retry
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.report import RunReport
from borgctl.pull.run.run import Tell
from borgctl.values import JobName


class Tries:
    """The tries of one target; `done` are the jobs that are not tried again."""

    def __init__(self, stop: Stop, tell: Tell) -> None:
        self._stop, self._tell, self.last = stop, tell, True
        self.done: set[JobName] = set()
        self.owed: dict[str | None, RunReport] = {}

    def tell(self, report: RunReport) -> None:
        """Tell a report, with the alerts of the tries before it."""
        passing = not self.last and self._stop.name is None and retry.may_pass(report)
        earlier = [self.owed.pop(job).alerts for job in (None, report.job) if job in self.owed]
        alerts = {alert.reason: alert for alerts in (*earlier, report.alerts) for alert in alerts}
        report = replace(report, alerts=tuple(alerts.values()), again=passing)
        if passing:
            self.owed[report.job] = report
        elif report.job is not None:
            self.done.add(JobName(report.job))
        self._tell(report)

    def settle(self) -> None:
        """Tell once more, as failed for good, what was not tried again: nothing ran, or a signal came."""
        for report in self.owed.values():
            self._tell(replace(report, again=False))
