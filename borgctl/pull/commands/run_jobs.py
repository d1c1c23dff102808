"""run_jobs: the work of `borgpull run`, without typer, so that both readers of a command line can have it done.

run_jobs(folders, ["web1"], False, ["prune"], as_json=True)          the exit status
"""

import sys
from collections.abc import Sequence

from borgctl.console.ending import silence
from borgctl.data_class import replace
from borgctl.pull.commands.output import print_report
from borgctl.pull.commands.selection import chosen
from borgctl.pull.process.signals import Stop
from borgctl.pull.report import progress
from borgctl.pull.report.outcome import exit_status
from borgctl.pull.report.progress import Screen
from borgctl.pull.report.report import RunReport
from borgctl.pull.run.launcher import Launcher, Silent, Teller
from borgctl.pull.run.run import run_all
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.telling_places import mentioned
from borgctl.values import JobName


def run_jobs(folders: Folders, targets: list[str] | None, every: bool, jobs: list[str] | None, as_json: bool) -> int:
    """Run the jobs of targets, one after the other, and print each report; return the worst exit status."""
    found, names = chosen(folders, targets, every=every), job_names(jobs)
    outcomes, view = [], progress.screen(as_json)
    with Stop() as stop:
        notifier = teller(folders, found.texts, stop)
        for report in run_all(replace(launcher(folders, view, stop), teller=notifier), found, names):
            outcomes.append(outcome(report))
            notifier.ended(report)
            try:
                print_report(report, as_json)
            except OSError as error:  # nobody reads stdout any more, or the disk is full: the other runs go on
                silence(sys.stdout)
                view.end(f"error: stdout: {error.strerror}")
                outcomes.append("untold")
        notifier.finished()
        if stop.name is not None:
            outcomes.append("stopped")
    return exit_status(outcomes)


def job_names(texts: Sequence[str] | None) -> tuple[JobName, ...]:
    """Return the named jobs, each once."""
    return tuple(JobName(text) for text in dict.fromkeys(texts or ()))


def launcher(folders: Folders, screen: Screen, stop: Stop) -> Launcher:
    """Return what the calls of this process share."""
    return Launcher(folders, screen, stop, Timeouts())


def teller(folders: Folders, targets: tuple[str, ...], stop: Stop) -> Teller:
    """Return who tells people of the runs: nobody where no file asks for that."""
    if not mentioned(folders, targets):
        return Silent()
    from borgctl.pull.notify.teller import Teller as Notifying  # noqa: PLC0415 - most have none

    return Notifying(folders, targets, stop)


def outcome(report: RunReport) -> str:
    """Return what a run's outcome counts as: an alert is a warning."""
    return "warning" if report.alerts and report.verdict.outcome == "ok" else report.verdict.outcome
