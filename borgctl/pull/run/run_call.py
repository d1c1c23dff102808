"""run_call: one call to a client, from the look at the repository before it to what is remembered of it.

A run of a job, a window and a request that was spelled out are all served, judged and reported here.

    with underway(launcher, target, begun) as notes:
        report = run_call(launcher, target, call, path, seconds, "default", head, session, notes=notes)
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

from borgctl.fs import atomic
from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.process.children import Child
from borgctl.pull.process.pipes import Starts
from borgctl.pull.report.hints import lost, named
from borgctl.pull.report.outcome import Facts, Verdict, committed, emptied, judge, tolerated
from borgctl.pull.report.past_runs import Ended
from borgctl.pull.report.record_run import remember
from borgctl.pull.report.refusals import advised
from borgctl.pull.report.report import Report, summary
from borgctl.pull.repository import guard, serve, transactions
from borgctl.pull.repository.inspection import Inspection, begin, inspect
from borgctl.pull.repository.reserve import establish, lowered
from borgctl.pull.repository.sessions import GuardSession, session_for
from borgctl.pull.repository.space import full, last_room
from borgctl.pull.repository.unlock import locked
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.ready import release, unready
from borgctl.pull.run.session import Session
from borgctl.pull.state.broken_off import recalled
from borgctl.pull.state.running import Begun, marked
from borgctl.pull.state.state import State
from borgctl.pull.state.state import load as load_state
from borgctl.pull.targets.targets import Target
from borgctl.text import size
from borgctl.values import Head, JobName
from borgctl.wire.frames import GOOD


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
    return session_for(target, job, is_known(target, state))


def is_known(target: Target, state: State) -> bool:
    """Tell whether there is a repository, or there once was one."""
    return transactions.is_there(str(target.repository)) or state.knows_repository


def run_call(
    launcher: Launcher,
    target: Target,
    call: client_command.Call,
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
    atomic.directories(base)
    repository = str(target.repository)
    transcript, begun, clock = Transcript(call.asked, call.until), time.time(), time.monotonic()
    launcher.screen.begin(f"{target.name} {job}")
    for note in notes:
        launcher.screen.show(transcript.keep(note))
    before = inspected(launcher, target, transcript)
    if barred := unready(launcher, target, session, call.asked[0], before, transcript):
        missed = Ended(call.asked[0], barred, transcript, seen, time.time(), by_hand=by_hand, named=named_jobs(target))
        later = remember(launcher.folders, target.name, missed) if barred.reason == "server-full" else ()
        report = Report(str(target.name), job, barred, begun, 0.0, transcript, None, (*before.alerts, *later))
        launcher.screen.end(summary(report))
        return report
    begin(launcher.folders, target.name)
    last = transactions.last(repository)
    with lowered(repository) if session.name == "prune" else nullcontext():
        starts, room = _starts(launcher, target, session, path), partial(last_room, repository, session)
        facts = serve_to(launcher, call, starts, transcript, seconds, room).run(launcher.stop)
    release(launcher, target, transcript, "borg serve")
    told = verdict(facts, transcript)
    if session.name == "init" and told.outcome in GOOD:
        _reserve(launcher, repository, transcript)
    said = committed(told, session, facts.passed, _command(transcript), _moved(repository, last))
    known = load_state(launcher.folders, target.name).jobs.get(call.asked[0] or "")
    said = emptied(said, transcript.files, known.files if known else None)
    seconds, after = time.monotonic() - clock, inspected(launcher, target, transcript, ours=True)
    said = after.verdict or said if told.outcome in GOOD else said  # that it is gone says more than that nothing came
    said = tolerated(said, target.accept_warnings, transcript.ending())
    for wrong in (facts.guard_fault, full(repository) if said.outcome not in GOOD else None):
        if wrong is not None:
            launcher.screen.show(transcript.keep(Message("borgpull", "WARNING", wrong)))
    ended = Ended(
        *(call.asked[0], said, transcript, seen, time.time(), after.digest, by_hand),
        judged=call.asked[0] is not None,
        title=job,
        named=named_jobs(target),
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


def inspected(launcher: Launcher, target: Target, transcript: Transcript, *, ours: bool = False) -> Inspection:
    """Look at the repository before and, as what is `ours`, after serve, and say what is to be said of it."""
    seen = inspect(launcher.folders, target, time.time(), ours=ours)
    for message in seen.messages:
        launcher.screen.show(transcript.keep(message))
    return seen


def named_jobs(target: Target) -> tuple[str, ...]:
    """Return the jobs that the target's file names, also those that are not run by themselves."""
    return tuple(str(job.name) for job in target.described)


def _command(transcript: Transcript) -> str | None:
    """Return what the client said that it runs."""
    return transcript.start.command if transcript.start else None


def _moved(repository: str, last: int | None) -> bool:
    """Tell whether the repository has another transaction than `last`."""
    return transactions.last(repository) not in (None, last)


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


def serve_to(
    launcher: Launcher,
    call: client_command.Call,
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
        seconds=seconds,
        patience=launcher.patience,
        room=room,
    )
