"""run: run a target's jobs, one after the other, under the target's lock. The story of `borgpull run`.

A run that cannot start, or that its client refuses, is a report like any other.

    await run(launcher, target, jobs=(), tell=reports.append)
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from borgctl.data_class import replace
from borgctl.errors import BadValue
from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.process.workdirs import workdir
from borgctl.pull.report.outcome import RunFacts, judge_run
from borgctl.pull.report.past_runs import Ended
from borgctl.pull.report.progress import View
from borgctl.pull.report.record_run import alert_line, remember
from borgctl.pull.report.report import RunReport
from borgctl.pull.report.run_history import record
from borgctl.pull.repository.inspection import inspect, problem
from borgctl.pull.run.call_session import session_of
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run_call import named_jobs, run_call, underway
from borgctl.pull.run.session import Session
from borgctl.pull.state.running import Begun
from borgctl.pull.state.state import Alert
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.paths import TargetName, lock
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName
from borgctl.wire import frames

_HELLO = 120.0  # seconds

Tell = Callable[[RunReport], None]
Wanted = Callable[[JobName], bool]


async def run(
    launcher: Launcher, target: Target, jobs: tuple[JobName, ...], tell: Tell, wanted: Wanted = lambda _: True
) -> None:
    """Run `jobs`, else the target's, else those with command create that the client offers; tell each one's report.

    Of these only those run that are `wanted`. May raise Busy.
    """
    with lock(launcher.folders, target.name), workdir(launcher.folders) as path:
        await _run(launcher, target, jobs, tell, wanted, path)


async def _run(
    launcher: Launcher, target: Target, jobs: tuple[JobName, ...], tell: Tell, wanted: Wanted, path: str
) -> None:
    if reason := obstacle(target):
        tell(refused(launcher, str(target.name), Verdict("failed", "launcher", None, reason)))
        return
    client_command.prepare(target, path)
    early: tuple[Alert, ...] = ()
    chosen = jobs or target.jobs
    if chosen is None:
        if unfit := _unfit(launcher, target):
            tell(unfit)
            return
        offered = await _hello(launcher, target, path)
        if isinstance(offered, RunReport):
            tell(offered)
            return
        chosen, early = offered
    end = time.monotonic() + target.timeout  # for all jobs together: no client keeps the other targets waiting longer
    for job in filter(wanted, chosen):
        if launcher.stop.name is None:
            by_hand = bool(jobs) and job not in [described.name for described in target.described]
            report = await _job(launcher, target, job, path, max(1.0, end - time.monotonic()), by_hand=by_hand)
            again = {alert.reason for alert in report.alerts}
            tell(replace(report, alerts=(*(alert for alert in early if alert.reason not in again), *report.alerts)))
            early = ()
    if early:  # no job had its turn
        verdict = Verdict("warning", "launcher", None, early[0].reason)
        tell(refused(launcher, str(target.name), verdict, alerts=early))


def _unfit(launcher: Launcher, target: Target) -> RunReport | None:
    """Return a report where the repository is not the known one, so that nothing is started; None where it is."""
    if problem(target, load_state(launcher.folders, target.name)) is None:
        return None
    inspection, transcript = inspect(launcher.folders, target, time.time()), Transcript()
    for message in inspection.messages:
        transcript.keep(message)
    return refused(
        launcher,
        str(target.name),
        inspection.verdict or Verdict("failed", "launcher", None, "repository-gone"),
        transcript,
        tuple(inspection.alerts),
    )


async def _job(
    launcher: Launcher, target: Target, job: JobName, path: str, seconds: float, *, by_hand: bool
) -> RunReport:
    state = load_state(launcher.folders, target.name)
    call = client_command.run(target, job, path, state.head)
    session = session_of(target, job, state)
    launcher.teller.started(target, str(job))
    with underway(launcher, target, Begun("run", str(job), time.time())) as notes:
        return await run_call(
            launcher, target, call, path, seconds, str(job), state.head, session, by_hand=by_hand, notes=notes
        )


async def _hello(
    launcher: Launcher, target: Target, path: str
) -> tuple[tuple[JobName, ...], tuple[Alert, ...]] | RunReport:
    """Ask what the client offers; return its jobs with command create and alerts, or a report of why there are none."""
    transcript, begun, clock = Transcript(), time.time(), time.monotonic()
    launcher.screen.begin(f"{target.name} hello")
    seconds = min(_HELLO, target.timeout)
    seen = load_state(launcher.folders, target.name).head
    call = client_command.hello(target, path, seen)
    with underway(launcher, target, Begun("hello", None, begun)) as notes:
        for note in notes:
            launcher.screen.show(transcript.keep(note))
        facts = await Session(call, None, launcher=launcher, transcript=transcript, seconds=seconds).run()
        verdict = unanswered(target, facts, transcript, launcher.screen)
        judged = verdict or Verdict("ok", "gate")
        ended = Ended(None, judged, transcript, seen, time.time(), named=named_jobs(target))
        alerts = remember(launcher.folders, target.name, ended)
    offered = [job for job, command in transcript.hello.jobs if command == "create"] if transcript.hello else []
    jobs = tuple(job for job in dict.fromkeys(offered) if target.job(job).run)
    if verdict is None and jobs:
        for alert in alerts:
            launcher.screen.end(f"{target.name} hello: {alert_line(alert)}")
        launcher.screen.end(f"{target.name} hello: offers {', '.join(map(str, jobs))}")
        return jobs, alerts
    verdict = verdict or Verdict("failed", "launcher", None, "no-jobs")
    report = RunReport(str(target.name), None, verdict, begun, time.monotonic() - clock, transcript, None, alerts)
    record(launcher.folders, launcher.screen, report, "hello")
    launcher.screen.report(report)
    return report


def unanswered(target: Target, facts: RunFacts, transcript: Transcript, screen: View) -> Verdict | None:
    """Return why hello got no good answer, None where it did; one line is enough, an exit line may follow it.

    With transport stdio borg will use stdout, so nothing else may come there.
    """
    if facts.stray and target.transport == "stdio":
        message = Message("borgpull", "ERROR", f"the login printed {facts.stray!r} on stdout")
        screen.show(transcript.keep(message))
        return Verdict("failed", "launcher", facts.status, "stray-output")
    if transcript.hello is not None and transcript.hello.protocol != frames.PROTOCOL:
        return Verdict("failed", "launcher", None, "unknown-protocol")
    if transcript.hello is not None and facts.exit is None and facts.ended is None and facts.status == 0:
        return None
    verdict = judge_run(replace(facts, serve_needed=False))
    if verdict.outcome == "ok":
        return None if transcript.hello is not None else Verdict("failed", "launcher", facts.status, "no-hello")
    return replace(verdict, reason="no-hello") if verdict.reason == "no-exit-line" else verdict


def refused(
    launcher: Launcher,
    name: str,
    verdict: Verdict,
    transcript: Transcript | None = None,
    alerts: tuple[Alert, ...] = (),
) -> RunReport:
    """Return the report of a run that did not begin, and record it."""
    report = RunReport(name, None, verdict, time.time(), 0.0, transcript or Transcript(), None, alerts)
    with suppress(BadValue):  # no name of a target's, but a mistyped word of the command line
        there = os.path.lexists(launcher.folders.target(TargetName(name)))
        if there and verdict.reason != "target-paused":  # which is no failed run, but a mistake of who typed it
            record(launcher.folders, launcher.screen, report, "run")
    launcher.screen.report(report)
    return report
