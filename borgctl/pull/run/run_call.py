"""run_call: make one call to a client, from the inspection of the repository before it to the record afterwards.

A run of a job, a restore window and a spelled-out request are all served, judged and reported here.

    with underway(launcher, target, begun) as notes:
        report = await run_call(launcher, target, call, path, seconds, "default", head, session, notes=notes)
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

from borgctl.fs import atomic
from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.hints import advice_for, advice_on_lost_connection, advice_on_unknown_job
from borgctl.pull.report.outcome import RunFacts, accept_warnings, judge_run, require_commit, require_files
from borgctl.pull.report.past_runs import Ended
from borgctl.pull.report.record_run import remember
from borgctl.pull.report.refusals import advice_on_refusal
from borgctl.pull.report.report import RunReport
from borgctl.pull.report.run_history import append_broken_off, compare, record, warn
from borgctl.pull.repository import objects, transactions
from borgctl.pull.repository.inspection import Inspection, begin, inspect
from borgctl.pull.repository.reserve import establish, lowered
from borgctl.pull.repository.rpc_messages import MANIFEST
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.repository.space import full, last_room
from borgctl.pull.repository.unlock import lock_hint
from borgctl.pull.run.call_session import starts
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.ready import release, unready
from borgctl.pull.run.session import Session
from borgctl.pull.state.broken_off import record_broken_off, sentence
from borgctl.pull.state.running import Begun, mark
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.targets import Target
from borgctl.text import size
from borgctl.values import Head
from borgctl.wire.frames import GOOD


@contextmanager
def underway(launcher: Launcher, target: Target, begun: Begun) -> Iterator[tuple[Message, ...]]:
    """Mark a call as going on; give messages about a run that an earlier launcher began and did not end."""
    texts: tuple[str, ...] = ()
    try:
        if broken := record_broken_off(launcher.folders, target.name):
            texts = (sentence(broken), *append_broken_off(launcher.folders, target.name, broken))
    except OSError as error:
        texts = (f"{error.filename or launcher.folders.memory(target.name)}: {error.strerror}",)
    with mark(launcher.folders, target.name, begun) as fault:
        yield tuple(Message("borgpull", "WARNING", text) for text in (*texts, fault) if text is not None)


async def run_call(
    launcher: Launcher,
    target: Target,
    call: client_command.Call,
    path: str,
    seconds: float,
    job: str,
    seen: Head | None,
    session: GuardSession,
    *,
    kind: str = "run",
    verdict: Callable[[RunFacts, Transcript], Verdict] = lambda facts, _: judge_run(facts),
    by_hand: bool = False,
    notes: tuple[Message, ...] = (),
) -> RunReport:
    """Serve the repository to one call, and report; `job` is its title, `seen` the head sent as --seen.

    `session` is what the client may say to the repository, `kind` what began (`running`). `by_hand`: only the command
    line names this job. `notes` are shown first.
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
        report = RunReport(str(target.name), job, barred, begun, 0.0, transcript, None, (*before.alerts, *later))
        record(launcher.folders, launcher.screen, report, kind)
        launcher.screen.report(report)
        return report
    begin(launcher.folders, target.name)
    last = _manifest(repository)
    with lowered(repository) if session.name == "prune" else nullcontext():
        programs, room = starts(launcher, target, session, path), partial(last_room, repository, session)
        facts = await Session(
            call, programs, launcher=launcher, transcript=transcript, seconds=seconds, room=room
        ).run()
    release(launcher, target, transcript, "borg serve")
    session_verdict = verdict(facts, transcript)
    if session.name == "init" and session_verdict.outcome in GOOD:
        _reserve(launcher, repository, transcript)
    final = require_commit(session_verdict, session, facts.passed, _command(transcript), _moved(repository, last))
    past = load_state(launcher.folders, target.name).jobs.get(call.asked[0] or "")
    final = require_files(final, transcript.files, past.files if past else None)
    seconds, after = time.monotonic() - clock, inspected(launcher, target, transcript, ours=True)
    # a lost repository is worse than a missing commit
    final = after.verdict or final if session_verdict.outcome in GOOD else final
    final = accept_warnings(final, target.accept_warnings, transcript.ending())
    findings = compare(launcher.folders, target.name, final, transcript, seconds, session)
    final = warn(final, findings)
    for wrong in (facts.guard_fault, full(repository) if final.outcome not in GOOD else None):
        if wrong is not None:
            launcher.screen.show(transcript.keep(Message("borgpull", "WARNING", wrong)))
    ended = Ended(
        *(call.asked[0], final, transcript, seen, time.time(), after.digest, by_hand),
        judged=call.asked[0] is not None,
        title=job,
        named=named_jobs(target),
        lists=target.jobs is not None,
        passed=facts.passed,
        refused=facts.refused,
        findings=findings,
    )
    alerts = (*before.alerts, *after.alerts, *remember(launcher.folders, target.name, ended))
    report = RunReport(
        *(str(target.name), job, final, begun, seconds, transcript, facts.serve),
        alerts=tuple({alert.reason: alert for alert in alerts}.values()),
        passed=facts.passed,
        refused=facts.refused,
        hint=_hint(launcher, target, final, facts, transcript, seconds),
        sent=facts.sent,
    )
    record(launcher.folders, launcher.screen, report, kind, findings)
    launcher.screen.report(report)
    return report


def _hint(
    launcher: Launcher, target: Target, verdict: Verdict, facts: RunFacts, transcript: Transcript, seconds: float
) -> str | None:
    """Return what to do, from what we know ourselves; None where the messages of ssh and borg say more."""
    job = transcript.asked[0]
    if facts.refused is not None:
        return advice_on_refusal(facts.refused, target, job)
    if verdict.reason == "connection-lost":
        return advice_on_lost_connection(transcript.messages, seconds, window=job is None)
    if (verdict.origin, verdict.reason) == ("gate", "unknown-job"):
        jobs = load_state(launcher.folders, target.name).jobs
        return advice_on_unknown_job(str(target.name), (name for name, past in jobs.items() if past.good is not None))
    if verdict.outcome in GOOD or verdict.origin != "borg":
        return None
    if full(str(target.repository)):
        return advice_for("server-full", str(target.name))
    return lock_hint(launcher.folders, target)


def inspected(launcher: Launcher, target: Target, transcript: Transcript, *, ours: bool = False) -> Inspection:
    """Inspect the repository before serve and, with `ours`, after it; show the messages."""
    inspection = inspect(launcher.folders, target, time.time(), ours=ours)
    for message in inspection.messages:
        launcher.screen.show(transcript.keep(message))
    return inspection


def named_jobs(target: Target) -> tuple[str, ...]:
    """Return the jobs that the target file names, also those with 'run: no'."""
    return tuple(str(job.name) for job in target.described)


def _command(transcript: Transcript) -> str | None:
    """Return the command that the client says it runs."""
    return transcript.start.command if transcript.start else None


def _manifest(repository: str) -> tuple[int | None, bytes | None]:
    """Return the last transaction and where its manifest lies."""
    return transactions.last(repository), objects.place(repository, MANIFEST)


def _moved(repository: str, before: tuple[int | None, bytes | None]) -> bool:
    """Tell whether the repository has another transaction than before, and in it another manifest.

    What the guard let pass serve may have refused, as for the quota, and have committed something else.
    """
    number, manifest = _manifest(repository)
    return number not in (None, before[0]) and manifest not in (None, before[1])


def _reserve(launcher: Launcher, repository: str, transcript: Transcript) -> None:
    """Keep a part of the disk of a new repository free, and say so."""
    with suppress(OSError):
        if kept := establish(launcher.folders, repository):
            text = (
                f"{size(kept)} of the disk of {repository} stay free, to compact (additional_free_space in its config)"
            )
            launcher.screen.show(transcript.keep(Message("borgpull", "INFO", text)))
