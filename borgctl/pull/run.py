"""run: a target's jobs, one after the other, under the target's lock. The story of `borgpull run`.

A run that cannot start, or whose client says no, is a report like any other.

    for report in run_all(launcher, ["web1", "web2"], jobs=()): …
"""

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial

from borgctl.errors import BadValue
from borgctl.pull import drafts, peer, serve
from borgctl.pull.broken_off import recalled
from borgctl.pull.children import Child
from borgctl.pull.diagnosis import full, lost, named
from borgctl.pull.errors import PullError
from borgctl.pull.folders import Busy, Folders, TargetName, lock, make
from borgctl.pull.memory import alerted, remember
from borgctl.pull.outcome import GOOD, Facts, Verdict, committed, emptied, judge, tolerated
from borgctl.pull.owner import typed
from borgctl.pull.past_runs import Ended
from borgctl.pull.progress import Screen
from borgctl.pull.refusals import advised
from borgctl.pull.report import Report, summary
from borgctl.pull.repository import guard, transactions
from borgctl.pull.repository.inspection import Inspection, begin, inspect, makes_one, problem
from borgctl.pull.repository.reserve import establish, lowered, restore
from borgctl.pull.repository.sessions import GuardSession, session_for
from borgctl.pull.repository.space import clear, lacking, last_room
from borgctl.pull.rooms import room
from borgctl.pull.running import Begun, marked
from borgctl.pull.session import Patience, Session
from borgctl.pull.state import Alert, State
from borgctl.pull.state import load as load_state
from borgctl.pull.stop import Stop
from borgctl.pull.stream import PROTOCOL
from borgctl.pull.targets import Target, load
from borgctl.pull.text import shown, size
from borgctl.pull.transcript import Message, Transcript
from borgctl.pull.unlock import locked
from borgctl.pull.wiring import Starts
from borgctl.values import Head, JobName

_HELLO = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Launcher:
    """What all runs of one launcher share."""

    folders: Folders
    screen: Screen
    stop: Stop
    patience: Patience


def run(launcher: Launcher, target: Target, jobs: tuple[JobName, ...] = ()) -> Iterator[Report]:
    """Run `jobs`, else the target's, else those with command create that the client offers; yield each one's report."""
    try:
        with lock(launcher.folders, target.name), room(launcher.folders) as path:
            yield from _run(launcher, target, jobs, path)
    except Busy:
        yield _refused(launcher, str(target.name), Verdict("busy", "launcher", 69, "target-busy"))


def run_all(launcher: Launcher, texts: Iterable[str], jobs: tuple[JobName, ...]) -> Iterator[Report]:
    """Run targets by name; one that cannot be run is a report like the others, and does not keep them back."""
    drafts.sweep(launcher.folders)
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
                launcher.screen.end(f"{shown(text)}: error: {shown(line)}")
            if isinstance(error, PullError) and error.hint:
                launcher.screen.end(f"hint: {shown(typed(error.hint))}")
            yield _refused(launcher, text, Verdict("failed", "launcher", None, reason), transcript)
        except Exception as error:
            transcript = Transcript()
            transcript.keep(Message("borgpull", "ERROR", "".join(traceback.format_exception(error))))
            launcher.screen.end(f"{shown(text)}: error: {shown(f'{type(error).__name__}: {error}')}")
            yield _refused(launcher, text, Verdict("failed", "launcher", None, "internal"), transcript)


def _run(launcher: Launcher, target: Target, jobs: tuple[JobName, ...], path: str) -> Iterator[Report]:
    if unready := obstacle(target):
        yield _refused(launcher, str(target.name), unready)
        return
    peer.prepare(target, path)
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


def obstacle(target: Target) -> Verdict | None:
    """Return why a target cannot run at all, if so."""
    if target.transport != "local" and target.host_key is None:
        return Verdict("failed", "launcher", None, "host-key-missing")
    if not os.access(target.borg, os.X_OK):
        return Verdict("failed", "launcher", None, "serve-missing")
    return None


def _job(launcher: Launcher, target: Target, job: JobName, path: str, seconds: float, *, by_hand: bool) -> Report:
    state = load_state(launcher.folders, target.name)
    call = peer.run(target, job, path, state.head)
    session = session_of(target, job, state)
    with underway(launcher, target, Begun("run", str(job), time.time())) as notes:
        return carry(launcher, target, call, path, seconds, str(job), state.head, session, by_hand=by_hand, notes=notes)


@contextmanager
def underway(launcher: Launcher, target: Target, begun: Begun) -> Iterator[tuple[Message, ...]]:
    """Mark a call as going on; give what is to be said of what an earlier launcher began and did not end."""
    try:
        broken = recalled(launcher.folders, target.name)
    except OSError as error:
        broken = f"{error.filename or launcher.folders.memory(target.name)}: {error.strerror}"
    with marked(launcher.folders, target.name, begun) as fault:
        yield tuple(Message("borgpull", "WARNING", text) for text in (broken, fault) if text is not None)


def session_of(target: Target, job: JobName, state: State) -> GuardSession:
    """Return what the client may say in a run of this job, by what is there and what is remembered."""
    known = transactions.is_there(str(target.repository)) or state.knows_repository
    return session_for(target, job, known)


def carry(
    launcher: Launcher,
    target: Target,
    call: peer.Call,
    path: str,
    seconds: float,
    job: str,
    seen: Head | None,
    session: GuardSession,
    verdict: Callable[[Facts, Transcript], Verdict] = lambda facts, _: judge(facts),
    by_hand: bool = False,
    notes: tuple[Message, ...] = (),
) -> Report:
    """Serve the repository to one call, and report; `job` is what to call it, `seen` what was sent as --seen.

    `session` is what the client may say to the repository. `by_hand`: nothing but the command line names this job.
    `notes` are to be said first.
    """
    base = launcher.folders.borg(target.name)
    make(base)
    repository = str(target.repository)
    transcript, begun, clock = Transcript(call.asked, call.until), time.time(), time.monotonic()
    launcher.screen.begin(f"{target.name} {job}")
    for note in notes:
        launcher.screen.show(transcript.keep(note))
    before = _inspected(launcher, target, transcript)
    if barred := _barred(launcher, target, session, call.asked[0], before, transcript):
        missed = Ended(call.asked[0], barred, transcript, seen, time.time(), by_hand=by_hand, named=_named(target))
        later = remember(launcher.folders, target.name, missed) if barred.reason == "server-full" else ()
        report = Report(str(target.name), job, barred, begun, 0.0, transcript, None, (*before.alerts, *later))
        launcher.screen.end(summary(report))
        return report
    begin(launcher.folders, target.name)
    last = transactions.last(repository)
    with lowered(repository) if session.name == "prune" else nullcontext():
        starts, room = _starts(launcher, target, session, path), partial(last_room, repository, session)
        facts = _session(launcher, call, starts, transcript, seconds, room).run()
    _release(launcher, target, transcript, "borg serve")
    told = verdict(facts, transcript)
    if session.name == "init" and told.outcome in GOOD:
        _reserve(launcher, repository, transcript)
    said = committed(told, session, facts.passed, _command(transcript), _moved(repository, last))
    known = load_state(launcher.folders, target.name).jobs.get(call.asked[0] or "")
    said = emptied(said, transcript.files, known.files if known else None)
    seconds, after = time.monotonic() - clock, _inspected(launcher, target, transcript, ours=True)
    said = after.verdict or said if told.outcome in GOOD else said  # that it is gone says more than that nothing came
    said = tolerated(said, target.accept_warnings, transcript.ending())
    for wrong in (facts.guard_fault, full(repository) if said.outcome not in GOOD else None):
        if wrong is not None:
            launcher.screen.show(transcript.keep(Message("borgpull", "WARNING", wrong)))
    ended = Ended(
        *(call.asked[0], said, transcript, seen, time.time(), after.digest, by_hand),
        judged=call.asked[0] is not None,
        title=job,
        named=_named(target),
        lists=target.jobs is not None,
        passed=facts.passed,
        refused=facts.refused,
    )
    alerts = (*before.alerts, *after.alerts, *remember(launcher.folders, target.name, ended))
    report = Report(
        *(str(target.name), job, said, begun, seconds, transcript, facts.serve),
        alerts=tuple({alert.reason: alert for alert in alerts}.values()),
        passed=facts.passed,
        refused=facts.refused,
        hint=_hint(launcher, target, said, facts, transcript, seconds),
    )
    launcher.screen.end(summary(report))
    return report


def _barred(
    launcher: Launcher,
    target: Target,
    session: GuardSession,
    job: str | None,
    before: Inspection,
    transcript: Transcript,
) -> Verdict | None:
    """Return why nothing is started, None where it is."""
    if unfit := before.verdict or _made(launcher, target, job):
        return unfit
    _release(launcher, target, transcript, "an earlier borg")
    return _full(launcher, target, session, transcript)


def _hint(
    launcher: Launcher, target: Target, verdict: Verdict, facts: Facts, transcript: Transcript, seconds: float
) -> str | None:
    """Return what to do about what we know ourselves; None where the words of ssh and borg say more."""
    job = transcript.asked[0]
    if facts.refused is not None:
        return advised(facts.refused, target, job)
    if verdict.reason == "connection-lost":
        return lost(transcript.messages, seconds, window=job is None)
    if verdict.outcome in GOOD or verdict.origin != "borg":
        return None
    return named("server-full", str(target.name)) if full(str(target.repository)) else locked(launcher.folders, target)


def _inspected(launcher: Launcher, target: Target, transcript: Transcript, *, ours: bool = False) -> Inspection:
    """Look at the repository before and, as what is `ours`, after serve, and say what is to be said of it."""
    seen = inspect(launcher.folders, target, time.time(), ours=ours)
    for message in seen.messages:
        launcher.screen.show(transcript.keep(message))
    return seen


def _named(target: Target) -> tuple[str, ...]:
    """Return the jobs that the target's file names, also those that are not run by themselves."""
    return tuple(str(job.name) for job in target.described)


def _command(transcript: Transcript) -> str | None:
    """Return what the client said that it runs."""
    return transcript.start.command if transcript.start else None


def _moved(repository: str, last: int | None) -> bool:
    """Tell whether the repository has another transaction than `last`."""
    return transactions.last(repository) not in (None, last)


def _made(launcher: Launcher, target: Target, job: str | None) -> Verdict | None:
    """Refuse a job that makes a repository where there is one."""
    state = load_state(launcher.folders, target.name)
    if job is None or not state.knows_repository or not makes_one(state, job):
        return None
    return Verdict("refused", "launcher", None, "repository-known")


def _full(launcher: Launcher, target: Target, session: GuardSession, transcript: Transcript) -> Verdict | None:
    """Refuse a session for which the repository's disk has no room, once what an earlier one left there is gone."""
    repository = str(target.repository)
    restore(repository)
    if lacking(repository, session):
        clear(launcher.folders, repository)
    lack = lacking(repository, session)
    if lack is None:
        return None
    launcher.screen.show(transcript.keep(Message("borgpull", "ERROR", lack)))
    return Verdict("failed", "launcher", None, "server-full")


def _reserve(launcher: Launcher, repository: str, transcript: Transcript) -> None:
    """Keep a part of the disk of a new repository free, and say so."""
    with suppress(OSError):
        if kept := establish(launcher.folders, repository):
            text = (
                f"{size(kept)} of the disk of {repository} stay free, to compact (additional_free_space in its config)"
            )
            launcher.screen.show(transcript.keep(Message("borgpull", "INFO", text)))


def _starts(launcher: Launcher, target: Target, session: GuardSession, path: str) -> Starts:
    """Return what starts the guard of this session, and serve."""
    guarded = guard.argv(target, session, transactions.used(str(target.repository)))
    return Starts(
        guard=partial(Child, guarded, guard.environment(path)),
        serve=partial(Child, serve.argv(target), serve.environment(launcher.folders, target, path)),
    )


def _release(launcher: Launcher, target: Target, transcript: Transcript, whose: str) -> None:
    """Remove the repository's lock of a serve that could not do it itself, and say so."""
    if serve.release(launcher.folders, target):
        told = Message("borgpull", "WARNING", f"{whose} was killed; the lock that it left was removed")
        launcher.screen.show(transcript.keep(told))


def _session(
    launcher: Launcher,
    call: peer.Call,
    starts: Starts | None,
    transcript: Transcript,
    seconds: float,
    room: Callable[[], bool] = lambda: True,
) -> Session:
    return Session(
        call,
        starts,
        transcript=transcript,
        screen=launcher.screen,
        stop=launcher.stop,
        seconds=seconds,
        patience=launcher.patience,
        room=room,
    )


def _hello(launcher: Launcher, target: Target, path: str) -> tuple[tuple[JobName, ...], tuple[Alert, ...]] | Report:
    """Ask what the client offers; return its jobs of command create and alerts, or the report of why it has none."""
    transcript, begun, clock = Transcript(), time.time(), time.monotonic()
    launcher.screen.begin(f"{target.name} hello")
    seconds = min(_HELLO, target.timeout)
    seen = load_state(launcher.folders, target.name).head
    call = peer.hello(target, path, seen)
    with underway(launcher, target, Begun("hello", None, begun)) as notes:
        for note in notes:
            launcher.screen.show(transcript.keep(note))
        facts = _session(launcher, call, None, transcript, seconds).run()
        verdict = unanswered(target, facts, transcript, launcher.screen)
        said = verdict or Verdict("ok", "gate")
        ended = Ended(None, said, transcript, seen, time.time(), named=_named(target))
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
    if transcript.hello is not None and transcript.hello.protocol != PROTOCOL:
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
