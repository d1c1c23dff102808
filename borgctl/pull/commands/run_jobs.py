"""run_jobs: the work of `borgpull run`, without typer, so that both readers of a command line can have it done.

run_jobs(folders, Run(None, None, ["web1"], False, ["prune"], as_json=True))          the exit status
"""

import math
import os
import resource
import sys
import time
from collections.abc import Sequence

from borgctl.console.ending import silence
from borgctl.process.event_loop import EventLoop
from borgctl.pull.commands.output import print_report
from borgctl.pull.commands.selection import chosen
from borgctl.pull.common_line import Run
from borgctl.pull.fleet import due
from borgctl.pull.fleet.plan import Plan
from borgctl.pull.fleet.run_all import run_all
from borgctl.pull.process.outputs import queued
from borgctl.pull.process.signals import Stop
from borgctl.pull.report import screens
from borgctl.pull.report.fleet_summary import FleetSummary
from borgctl.pull.report.outcome import exit_status
from borgctl.pull.report.progress import Screen, View
from borgctl.pull.report.report import RunReport
from borgctl.pull.report.run_history import last_size
from borgctl.pull.report.screens import FORMATS
from borgctl.pull.run.launcher import Launcher, Silent, Teller
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.selection import Selection
from borgctl.pull.targets.telling_places import mentioned
from borgctl.values import JobName, choice, duration, integer

_MOST, _MOST_RETRIES = 1000, 20
_RETRIES = 2  # of a run that nobody watches
_FILES = 32  # that a run keeps open, at most


def run_jobs(folders: Folders, line: Run) -> int:
    """Run the jobs of targets, several at once, and print each report; return the worst exit status."""
    plan, begun = _plan(line), time.monotonic()
    end = math.inf if line.within is None else begun + duration(line.within)
    log = None if line.log_format is None else choice(line.log_format, FORMATS)
    found, names = _chosen(folders, line), job_names(line.jobs)
    _allow_files(plan.parallel)
    with Stop() as stop, queued(EventLoop(), stop) as outputs:
        screen = screens.screen(
            log or "console", json=line.as_json and log is None, past=lambda title: last_size(folders, title)
        )
        view, notifier = View(screen), teller(folders, found.texts, stop)
        told = _Told(View(screen), notifier, line.as_json)
        shared = Launcher(folders, view, stop, Timeouts(), outputs.loop, end, notifier)
        missed = run_all(shared, found, names, plan, told.tell, lambda: _chosen(folders, line))
        notifier.finished()
        if len(found.texts) > 1:
            for text in told.summary.lines(time.monotonic() - begun, missed):
                view.end(text)
        losses = outputs.finish(end)
        for name, why in losses.items():
            view.end(f"error: {name}: {why}")
    wrong = ["untold"] if losses or told.untold else []
    wrong += ["missed"] if missed or stop.name is not None else []
    return exit_status([*told.summary.outcomes(), *wrong])


def _chosen(folders: Folders, line: Run) -> Selection:
    return chosen(folders, line.targets, every=line.all)


def _plan(line: Run) -> Plan:
    """Return how to run them; raise BadValue for a number that is none."""
    parallel = max(2, len(os.sched_getaffinity(0))) if line.parallel is None else integer(line.parallel, 1, _MOST)
    retries = (_RETRIES if line.due else 0) if line.retries is None else integer(line.retries, 0, _MOST_RETRIES)
    return Plan(parallel, line.due, retries, due.AGAIN)


def _allow_files(parallel: int) -> None:
    """Have this process open as many files as so many runs need, up to its hard limit (getrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES * (parallel + 1)
    if resource.RLIM_INFINITY != soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Told:
    """Print each report, and keep of it what the end needs."""

    def __init__(self, view: View, teller: Teller, as_json: bool) -> None:
        self._view, self._teller, self._as_json = view, teller, as_json
        self.summary, self.untold = FleetSummary(), False

    def tell(self, report: RunReport) -> None:
        """Print a report; nothing that is wrong with stdout ends another run."""
        self.summary.add(report)
        if not report.again:
            self._teller.ended(report)
        try:
            print_report(report, self._as_json)
        except OSError as error:  # nobody reads stdout any more, or the disk is full: the other runs go on
            silence(sys.stdout)
            self._view.end(f"error: stdout: {error.strerror}")
            self.untold = True


def job_names(texts: Sequence[str] | None) -> tuple[JobName, ...]:
    """Return the named jobs, each once."""
    return tuple(JobName(text) for text in dict.fromkeys(texts or ()))


def launcher(folders: Folders, screen: Screen, stop: Stop, loop: EventLoop) -> Launcher:
    """Return what the calls of this process share."""
    return Launcher(folders, View(screen), stop, Timeouts(), loop)


def teller(folders: Folders, targets: tuple[str, ...], stop: Stop) -> Teller:
    """Return who tells people of the runs: nobody where no file asks for that."""
    if not mentioned(folders, targets):
        return Silent()
    from borgctl.pull.notify.teller import Teller as Notifying  # noqa: PLC0415 - most have none

    return Notifying(folders, targets, stop)
