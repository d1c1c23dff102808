"""run: a target's jobs, one after the other, under the target's lock. The story of `borgpull run`.

A run that cannot start, or whose client says no, is a report like any other.

    for report in run_all(launcher, ["web1", "web2"], jobs=()): …
"""

import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import replace

from borgctl.errors import BadValue
from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.process.workdirs import room
from borgctl.pull.report.outcome import Facts, Verdict, judge
from borgctl.pull.report.past_runs import Ended
from borgctl.pull.report.progress import Screen
from borgctl.pull.report.record_run import alerted, remember
from borgctl.pull.report.report import Report, summary
from borgctl.pull.repository.inspection import inspect, problem
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.ready import obstacle
from borgctl.pull.run.run_call import named_jobs, run_call, serve_to, session_of, underway
from borgctl.pull.state.running import Begun
from borgctl.pull.state.state import Alert
from borgctl.pull.state.state import load as load_state
from borgctl.pull.targets import config_lock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Busy, TargetName, lock
from borgctl.pull.targets.targets import Target, load
from borgctl.text import printable_excerpt
from borgctl.values import JobName
from borgctl.wire import frames

_HELLO = 120.0  # seconds


def run(launcher: Launcher, target: Target, jobs: tuple[JobName, ...] = ()) -> Iterator[Report]:
    """Run `jobs`, else the target's, else those with command create that the client offers; yield each one's report."""
    try:
        with lock(launcher.folders, target.name), room(launcher.folders) as path:
            yield from _run(launcher, target, jobs, path)
    except Busy:
        yield _refused(launcher, str(target.name), Verdict("busy", "launcher", 69, "target-busy"))


def run_all(launcher: Launcher, texts: Iterable[str], jobs: tuple[JobName, ...]) -> Iterator[Report]:
    """Run targets by name; one that cannot be run is a report like the others, and does not keep them back."""
    config_lock.sweep(launcher.folders)
    for text in texts:
        if launcher.stop.name is not None:
            return
        reason = "target-invalid"
        try:
            target = load(launcher.folders, TargetName(text))
            reason = "not-started"
            yield from run(launcher, target, jobs)
        except (PullError, BadValue, OSError) as error:
            transcript = Transcript()
            for line in str(error).split("\n"):
                transcript.keep(Message("borgpull", "ERROR", line))
                launcher.screen.end(f"{printable_excerpt(text)}: error: {printable_excerpt(line)}")
            if isinstance(error, PullError) and error.hint:
                launcher.screen.end(f"hint: {printable_excerpt(typed(error.hint))}")
            yield _refused(launcher, text, Verdict("failed", "launcher", None, reason), transcript)
        except Exception as error:
            transcript = Transcript()
            transcript.keep(Message("borgpull", "ERROR", "".join(traceback.format_exception(error))))
            launcher.screen.end(
                f"{printable_excerpt(text)}: error: {printable_excerpt(f'{type(error).__name__}: {error}')}"
            )
            yield _refused(launcher, text, Verdict("failed", "launcher", None, "internal"), transcript)


def _run(launcher: Launcher, target: Target, jobs: tuple[JobName, ...], path: str) -> Iterator[Report]:
    if unready := obstacle(target):
        yield _refused(launcher, str(target.name), unready)
        return
    client_command.prepare(target, path)
    early: tuple[Alert, ...] = ()
    chosen = jobs or target.jobs
    if chosen is None:
        if unfit := _unfit(launcher, target):
            yield unfit
            return
        offered = _hello(launcher, target, path)
        if isinstance(offered, Report):
            yield offered
            return
        chosen, early = offered
    end = time.monotonic() + target.timeout  # for all of them: no client keeps the others waiting longer
    for job in chosen:
        if launcher.stop.name is None:
            by_hand = bool(jobs) and job not in [described.name for described in target.described]
            report = _job(launcher, target, job, path, max(1.0, end - time.monotonic()), by_hand=by_hand)
            again = {alert.reason for alert in report.alerts}
            yield replace(report, alerts=(*(one for one in early if one.reason not in again), *report.alerts))
            early = ()


def _unfit(launcher: Launcher, target: Target) -> Report | None:
    """Report that the repository is not the one that is known, so that nothing is started, None where all is well."""
    if problem(target, load_state(launcher.folders, target.name)) is None:
        return None
    seen, transcript = inspect(launcher.folders, target, time.time()), Transcript()
    for message in seen.messages:
        transcript.keep(message)
    return _refused(
        launcher,
        str(target.name),
        seen.verdict or Verdict("failed", "launcher", None, "repository-gone"),
        transcript,
        tuple(seen.alerts),
    )


def _job(launcher: Launcher, target: Target, job: JobName, path: str, seconds: float, *, by_hand: bool) -> Report:
    state = load_state(launcher.folders, target.name)
    call = client_command.run(target, job, path, state.head)
    session = session_of(target, job, state)
    with underway(launcher, target, Begun("run", str(job), time.time())) as notes:
        return run_call(
            launcher, target, call, path, seconds, str(job), state.head, session, by_hand=by_hand, notes=notes
        )


def _hello(launcher: Launcher, target: Target, path: str) -> tuple[tuple[JobName, ...], tuple[Alert, ...]] | Report:
    """Ask what the client offers; return its jobs of command create and alerts, or the report of why it has none."""
    transcript, begun, clock = Transcript(), time.time(), time.monotonic()
    launcher.screen.begin(f"{target.name} hello")
    seconds = min(_HELLO, target.timeout)
    seen = load_state(launcher.folders, target.name).head
    call = client_command.hello(target, path, seen)
    with underway(launcher, target, Begun("hello", None, begun)) as notes:
        for note in notes:
            launcher.screen.show(transcript.keep(note))
        facts = serve_to(launcher, call, None, transcript, seconds).run(launcher.stop)
        verdict = unanswered(target, facts, transcript, launcher.screen)
        said = verdict or Verdict("ok", "gate")
        ended = Ended(None, said, transcript, seen, time.time(), named=named_jobs(target))
        alerts = remember(launcher.folders, target.name, ended)
    offered = [job for job, command in transcript.hello.jobs if command == "create"] if transcript.hello else []
    jobs = tuple(job for job in dict.fromkeys(offered) if target.job(job).run)
    if verdict is None and jobs:
        for alert in alerts:
            launcher.screen.end(f"{target.name} hello: {alerted(alert)}")
        launcher.screen.end(f"{target.name} hello: offers {', '.join(map(str, jobs))}")
        return jobs, alerts
    verdict = verdict or Verdict("failed", "launcher", None, "no-jobs")
    report = Report(str(target.name), None, verdict, begun, time.monotonic() - clock, transcript, None, alerts)
    launcher.screen.end(summary(report))
    return report


def unanswered(target: Target, facts: Facts, transcript: Transcript, screen: Screen) -> Verdict | None:
    """Return why a hello is no answer; its one line is enough, an exit line may follow it.

    On the way by which borg will speak nothing else may come (with transport socket that is another way).
    """
    if facts.stray and target.transport == "stdio":
        told = Message("borgpull", "ERROR", f"the login printed {facts.stray!r} on stdout")
        screen.show(transcript.keep(told))
        return Verdict("failed", "launcher", facts.status, "stray-output")
    if transcript.hello is not None and transcript.hello.protocol != frames.PROTOCOL:
        return Verdict("failed", "launcher", None, "unknown-protocol")
    if transcript.hello is not None and facts.exit is None and facts.ended is None and facts.status == 0:
        return None
    verdict = judge(replace(facts, serve_needed=False))
    if verdict.outcome == "ok":
        return None if transcript.hello is not None else Verdict("failed", "launcher", facts.status, "no-hello")
    return replace(verdict, reason="no-hello") if verdict.reason == "no-exit-line" else verdict


def _refused(
    launcher: Launcher,
    name: str,
    verdict: Verdict,
    transcript: Transcript | None = None,
    alerts: tuple[Alert, ...] = (),
) -> Report:
    report = Report(name, None, verdict, time.time(), 0.0, transcript or Transcript(), None, alerts)
    launcher.screen.end(summary(report))
    return report
