"""run_all: run many targets side by side in one process and one event loop; a slow one delays no other.

Each target has its turn in the order of the names, as soon as there is a place; those that hung last time come last.
What may pass (`retry`) is tried again later, and gives its place to others meanwhile. One that cannot run is a report
like the others, and so is one that is paused.

    run_all(launcher, chosen, (), Plan(parallel=4, due=True, retries=2), tell)
"""

import time

from borgctl.console.text import elapsed
from borgctl.data_class import dataclass, replace
from borgctl.errors import BadValue
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.fleet import due, retry
from borgctl.pull.report.outcome import SKIPPED
from borgctl.pull.report.report import RunReport
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run import Tell, Wanted, refused, run
from borgctl.pull.run.scheduler import Delay, Places, complete, until
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets import config_lock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.pause import Pause
from borgctl.pull.targets.repositories import place
from borgctl.pull.targets.selection import Selection
from borgctl.pull.targets.targets import Target, load
from borgctl.text import printable_excerpt
from borgctl.values import JobName


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run targets: so many at once; only jobs that are `due`; how often to try again what may pass."""

    parallel: int = 1
    due: bool = False
    retries: int = 0


def run_all(launcher: Launcher, chosen: Selection, jobs: tuple[JobName, ...], plan: Plan, tell: Tell) -> int:
    """Run `jobs` of the targets, else each one's own; tell each report. A signal ends all runs in order.

    Return how many targets had no turn, or no second try, as a signal came before.
    """
    config_lock.sweep(launcher.folders)
    places = Places(plan.parallel)
    texts = sorted(chosen.texts, key=lambda text: _hung(launcher.folders, text))
    turns = [_Turn(launcher, text, chosen, jobs, plan, places, tell) for text in texts]
    complete(launcher, map(_safely, turns))
    return sum(turn.missed for turn in turns)


def _hung(folders: Folders, text: str) -> bool:
    """Tell whether the clock ended a target's last run: then it comes last, and delays nobody each time."""
    try:
        last = load_state(folders, TargetName(text)).last
    except (BadValue, OSError):
        return False
    return last is not None and last.outcome == "timeout"


class _Turn:
    """What one target's turn needs; its screen is its own."""

    def __init__(
        self,
        launcher: Launcher,
        text: str,
        chosen: Selection,
        jobs: tuple[JobName, ...],
        plan: Plan,
        places: Places,
        tell: Tell,
    ) -> None:
        self.launcher = replace(launcher, screen=launcher.screen.another())
        self.text, self.named = text, text in chosen.named
        self.jobs, self.plan, self.places, self.tell = jobs, plan, places, tell
        self.begun = self.missed = False

    def end(self, line: str) -> None:
        """Show a line of ours."""
        self.launcher.screen.end(line)


async def _safely(turn: _Turn) -> None:
    """Run a target; whatever goes wrong is its report, and nobody else's."""
    try:
        turn.missed = turn.launcher.stop.name is not None
        if not turn.missed:
            await _run(turn)
    except (PullError, BadValue, OSError) as error:
        transcript, head = Transcript(), printable_excerpt(turn.text)
        words = f"{error.filename or 'borgpull'}: {error.strerror}" if isinstance(error, OSError) else str(error)
        for line in words.split("\n"):
            transcript.keep(Message("borgpull", "ERROR", line))
            turn.end(f"{head}: error: {printable_excerpt(line)}")
        if isinstance(error, PullError) and error.hint:
            turn.end(f"hint: {printable_excerpt(typed(error.hint))}")
        reason = "target-paused" if isinstance(error, _Paused) else "not-started" if turn.begun else "target-invalid"
        turn.tell(refused(turn.launcher, turn.text, Verdict("failed", "launcher", None, reason), transcript))
    except Exception as error:
        transcript = Transcript()
        import traceback  # noqa: PLC0415 - seldom needed

        transcript.keep(Message("borgpull", "ERROR", "".join(traceback.format_exception(error))))
        turn.end(f"{printable_excerpt(turn.text)}: error: {printable_excerpt(f'{type(error).__name__}: {error}')}")
        turn.tell(refused(turn.launcher, turn.text, Verdict("failed", "launcher", None, "internal"), transcript))


class _Paused(PullError):  # noqa: N818 - reads as what it says where it is caught
    """A target that is named, and paused."""


async def _run(turn: _Turn) -> None:
    launcher, now = turn.launcher, time.time()
    target = load(launcher.folders, TargetName(turn.text))
    if pause := target.paused(now):
        if turn.named:
            raise _Paused(f"target {turn.text!r} is {pause}")
        turn.tell(_skipped(turn, pause))
        return
    turn.begun = True
    if not turn.plan.due:
        await _attempts(turn, target, lambda _: True)
        return
    judge = due.Judge(target, load_state(launcher.folders, target.name), now)
    if judge.any(turn.jobs):
        await _attempts(turn, target, judge.is_due)


async def _attempts(turn: _Turn, target: Target, wanted: Wanted) -> None:
    """Run a target's jobs, and again those that failed with what may pass; each in a place of its own."""
    launcher, tries = turn.launcher, _Tries(turn)
    try:
        for number in range(turn.plan.retries + 1):
            seconds = retry.delay(number, launcher.patience.backoff)
            tries.last = number == turn.plan.retries or time.monotonic() + seconds >= launcher.deadline
            free = turn.places.free(place(target))
            await until(free)
            if launcher.stop.name is not None:
                turn.missed = True
                return
            if launcher.late():
                turn.tell(refused(launcher, turn.text, Verdict("timeout", "launcher", None, "deadline")))
                return
            with free:
                await run(launcher, target, turn.jobs, tries.tell, lambda job: wanted(job) and job not in tries.done)
            if not tries.owed:
                return
            turn.end(f"{turn.text}: again in {elapsed(seconds)}")
            await until(Delay(launcher.loop, seconds))
    finally:
        tries.settle()


class _Tries:
    """The tries of one target: a failure that is to be tried again is owed until a later run of its job has ended."""

    def __init__(self, turn: _Turn) -> None:
        self._turn, self.last = turn, True
        self.done: set[JobName] = set()
        self.owed: dict[str | None, RunReport] = {}

    def tell(self, report: RunReport) -> None:
        """Tell a report, with the alerts of the tries before it."""
        passing = not self.last and self._turn.launcher.stop.name is None and retry.may_pass(report)
        earlier = [self.owed.pop(job).alerts for job in (None, report.job) if job in self.owed]
        alerts = {alert.reason: alert for alerts in (*earlier, report.alerts) for alert in alerts}
        report = replace(report, alerts=tuple(alerts.values()), again=passing)
        if passing:
            self.owed[report.job] = report
        elif report.job is not None:
            self.done.add(JobName(report.job))
        self._turn.tell(report)

    def settle(self) -> None:
        """Tell once more, as failed for good, what was not tried again: nothing ran, or a signal came."""
        for report in self.owed.values():
            self._turn.tell(replace(report, again=False))


def _skipped(turn: _Turn, pause: Pause) -> RunReport:
    transcript = Transcript()
    transcript.keep(Message("borgpull", "WARNING", str(pause)))
    turn.end(printable_excerpt(f"{turn.text}: {SKIPPED}, {pause}"))
    verdict = Verdict(SKIPPED, "launcher", None, "target-paused")
    return RunReport(turn.text, None, verdict, time.time(), 0.0, transcript, None)
