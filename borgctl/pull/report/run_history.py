"""Run history: compare a run with those before it, and record it, whatever became of it.

Nothing here keeps a run from being reported: a history that cannot be used is a warning among its messages.

    findings = compare(folders, name, verdict, transcript, seconds, session)    what is alarming about the run
    verdict = warn(verdict, findings)
    record(launcher.folders, launcher.screen, report, "run", findings)
"""

import time
from collections.abc import Callable

from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.progress import View
from borgctl.pull.report.report import RunReport
from borgctl.pull.report.trends import SHRUNKEN, SLOW, Finding, shrunken, slow
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.state import history
from borgctl.pull.state.broken_off import BROKEN_OFF
from borgctl.pull.state.history import Run
from borgctl.pull.state.history_replacement import HistoryUnusable
from borgctl.pull.state.running import Begun
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.wire.frames import DRY_RUN, GOOD

EMPTY = "nothing-backed-up"


def compare(
    folders: Folders, name: TargetName, verdict: Verdict, transcript: Transcript, seconds: float, session: GuardSession
) -> tuple[Finding, ...]:
    """Return what is alarming about a good run of a job, by the good runs before it."""
    job, totals = transcript.asked[0], transcript.totals()
    if job is None or verdict.outcome not in GOOD or verdict.reason == DRY_RUN:
        return ()
    try:
        sizes, durations = history.past(folders, str(name), job)
    except HistoryUnusable:  # told when this run is recorded
        return ()
    small = shrunken(totals.files, totals.original, sizes) if totals is not None else ()
    return (*small, *(slow(seconds, durations) if session.name == "create" else ()))


def warn(verdict: Verdict, findings: tuple[Finding, ...]) -> Verdict:
    """Return the verdict, or a warning where something is alarming."""
    return Verdict("warning", "launcher", verdict.code, findings[0].reason) if findings else verdict


def record(folders: Folders, screen: View, report: RunReport, kind: str, findings: tuple[Finding, ...] = ()) -> None:
    """Record a run; what goes wrong with that is shown, and kept among its messages."""
    transcript = report.transcript
    totals, passed = transcript.totals(), report.passed
    reasons = [finding.reason for finding in findings]
    empty = (report.verdict.origin, report.verdict.reason) == ("launcher", EMPTY)
    run = Run(
        *(report.target, kind, transcript.asked[0] if kind == "run" else None),
        command=history.word(transcript.start.command) if transcript.start else None,
        run=transcript.gate_run,
        begun=report.begun,
        ended=time.time(),
        duration=report.duration,
        outcome=report.verdict.outcome,
        reason=report.verdict.reason,
        archive=history.archive(transcript.result.archive.name),
        files=totals.files if totals else None,
        original=totals.original if totals else None,
        compressed=totals.compressed if totals else None,
        deduplicated=totals.new if totals else None,
        received=history.number(passed.bytes) if passed else None,
        sent=history.number(report.sent),
        put_bytes=history.number(passed.put_bytes) if passed else None,
        shrunken=history.RAISED if empty or SHRUNKEN in reasons else history.NOT,
        slow=history.RAISED if SLOW in reasons else history.NOT,
    )
    for text in attempt(lambda: history.append(folders, run, time.time())):
        message = Message("borgpull", "WARNING", text)
        transcript.keep(message)
        screen.show(message)  # also where the client has sent so much that no more is kept


def last_size(folders: Folders, title: str) -> int | None:
    """Return how many bytes the last good run of a target and job saved; None where that is unknown."""
    target, _, job = title.partition(" ")
    try:
        sizes, _ = history.past(folders, target, job)
    except HistoryUnusable:  # told when the run is recorded
        return None
    return int(sizes.values[0][1]) if sizes.values else None


def append_broken_off(folders: Folders, name: TargetName, begun: Begun) -> tuple[str, ...]:
    """Record a run that was never ended; return what went wrong with that."""
    run = Run(
        *(str(name), begun.kind, begun.job, None, None, begun.time, None, None),
        outcome="failed",
        reason=BROKEN_OFF,
    )
    return attempt(lambda: history.append(folders, run, time.time()))


def attempt(act: Callable[[], str | None]) -> tuple[str, ...]:
    """Do something with the history; return a line about what went wrong, or was put aside."""
    try:
        aside = act()
    except HistoryUnusable as error:
        return (f"the history of runs cannot be used: {error}",)
    return () if aside is None else (aside,)
