"""Turn: what one target does when it has its turn: its jobs run, and what may pass (`retry`) is tried again later.

While it waits to be tried again it gives its place to others. Whatever goes wrong is a report like any other, and so is
a target that is left out: one that is paused, or one that another call runs at this moment.

    await take(Turn(launcher, "web1", named=False, jobs=(), plan=Plan(due=True), places=Places(2), tell=tell))
"""

import os
import time

from borgctl.console.text import elapsed
from borgctl.data_class import replace
from borgctl.errors import BadValue
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.fleet import due, retry
from borgctl.pull.fleet.plan import Plan
from borgctl.pull.fleet.tries import Tries
from borgctl.pull.report.outcome import SKIPPED
from borgctl.pull.report.report import RunReport
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run import Tell, refused, run
from borgctl.pull.run.scheduler import Delay, Place, Places, until
from borgctl.pull.state.running import seen
from borgctl.pull.state.state import State
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Busy, Folders, TargetName
from borgctl.pull.targets.repositories import place
from borgctl.pull.targets.targets import Target, load
from borgctl.text import printable_excerpt
from borgctl.values import JobName


class Turn:
    """What one target's turn needs; its screen is its own."""

    def __init__(
        self,
        launcher: Launcher,
        text: str,
        *,
        named: bool,
        jobs: tuple[JobName, ...],
        plan: Plan,
        places: Places,
        tell: Tell,
    ) -> None:
        self.launcher = replace(launcher, screen=launcher.screen.another())
        self.text, self.named = text, named
        self.jobs, self.plan, self.places, self.tell = jobs, plan, places, tell
        self.begun = self.missed = False
        self._state: State | None = None

    def end(self, line: str) -> None:
        """Show a line of ours."""
        self.launcher.screen.end(line)

    def hung(self) -> bool:
        """Tell whether the clock ended the last run: then it comes last, and delays nobody each time."""
        try:
            self._state = load_state(self.launcher.folders, TargetName(self.text))
        except (BadValue, OSError):
            return False
        return self._state.last is not None and self._state.last.outcome == "timeout"

    def judge(self, target: Target) -> due.Judge:
        """Return the judge of a target by what is remembered of it now: another call may have run it meanwhile.

        At first that is what `hung` has read, just before.
        """
        state, self._state = self._state or load_state(self.launcher.folders, target.name), None
        return due.Judge(target, state, time.time())

    def due(self, target: Target) -> bool:
        """Tell whether any of a target's jobs is to run."""
        return not self.plan.due or self.judge(target).any(self.jobs)

    def wants(self, target: Target, job: JobName) -> bool:
        """Tell whether this job is to run."""
        return not self.plan.due or self.judge(target).is_due(job)


async def take(turn: Turn) -> None:
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


async def _run(turn: Turn) -> None:
    target = _read(turn)
    if target is not None and turn.due(target):
        await _attempts(turn, target)


def _read(turn: Turn) -> Target | None:
    """Return the target as its file is now; None, and tell, where it is paused, or was taken away as it waited."""
    folders, name, waited, turn.begun = turn.launcher.folders, TargetName(turn.text), turn.begun, False
    if waited and not turn.named and not os.path.lexists(folders.target(name)):
        turn.end(f"{turn.text}: is no target any more")
        return None
    target = load(folders, name)
    if pause := target.paused(time.time()):
        if turn.named:
            raise _Paused(f"target {turn.text!r} is {pause}")
        turn.tell(_left_out(turn, "target-paused", str(pause)))
        return None
    turn.begun = True
    return target


async def _attempts(turn: Turn, target: Target) -> None:
    """Run a target's jobs, and again those that failed with what may pass; each in a place of its own."""
    launcher, tries = turn.launcher, Tries(turn.launcher.stop, turn.tell)

    def wanted(job: JobName) -> bool:
        return job not in tries.done and turn.wants(target, job)

    try:
        for number in range(turn.plan.retries + 1):
            seconds = retry.delay(number, launcher.patience.backoff)
            tries.last = number == turn.plan.retries or time.monotonic() + seconds >= launcher.deadline
            if (found := await _free(turn, target)) is None:
                return
            target, free = found
            with free:
                if not turn.due(target):
                    return
                try:
                    await run(launcher, target, turn.jobs, tries.tell, wanted)
                except Busy:
                    tries.tell(_busy(turn, target))
            if not tries.owed:
                return
            turn.end(f"{turn.text}: again in {elapsed(seconds)}")
            await until(Delay(launcher.loop, seconds))
    finally:
        tries.settle()


async def _free(turn: Turn, target: Target) -> tuple[Target, Place] | None:
    """Wait for a place; return the target as its file is then, and its place, None where it is not to run.

    The wait may be long, and an administrator may have paused it meanwhile, or given it another repository.
    """
    launcher = turn.launcher
    while True:
        repository = place(target)
        free = turn.places.free(repository)
        await until(free)
        if launcher.stop.name is not None:
            turn.missed = True
            return None
        if launcher.late():
            turn.tell(refused(launcher, turn.text, Verdict("timeout", "launcher", None, "deadline")))
            return None
        now = _read(turn)
        if now is None:
            return None
        target = now
        if place(target) == repository:
            return target, free


def _busy(turn: Turn, target: Target) -> RunReport:
    """Return the report of a target that somebody else has; with `due`, a run of another call is no failure of ours."""
    if turn.plan.due and _runs(turn.launcher.folders, target.name):
        return _left_out(turn, "target-busy", "another borgpull runs it")
    return refused(turn.launcher, turn.text, Verdict("busy", "launcher", 69, "target-busy"))


def _runs(folders: Folders, name: TargetName) -> bool:
    """Tell whether a run of this target goes on; a window or a command of a person's is none."""
    try:
        there = seen(folders, name)
    except OSError:
        return False
    return there is not None and there.alive and there.begun.kind in ("run", "hello")


def _left_out(turn: Turn, reason: str, why: str) -> RunReport:
    transcript = Transcript()
    transcript.keep(Message("borgpull", "WARNING", why))
    turn.end(printable_excerpt(f"{turn.text}: {SKIPPED}, {why}"))
    verdict = Verdict(SKIPPED, "launcher", None, reason)
    return RunReport(turn.text, None, verdict, time.time(), 0.0, transcript, None)
