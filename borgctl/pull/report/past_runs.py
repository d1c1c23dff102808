"""Past runs: how a job's last run and its last good one are kept, and which jobs are kept at all.

A window and a request that a person spelled out say nothing of how the target stands; nor does a job that is none.

    alerts = [*withdrawn(state, ended), *count(state, ended)]
"""

import re
from dataclasses import asdict, dataclass

from borgctl.pull.client.transcript import Transcript
from borgctl.pull.report.hints import ailment
from borgctl.pull.report.outcome import Verdict
from borgctl.pull.repository.guard import Passed, Refused
from borgctl.pull.state.state import MOST_JOBS, Alert, Job, Past, State
from borgctl.text import iso
from borgctl.values import Head
from borgctl.wire.frames import DRY_RUN, GOOD

_ERRORS = ("ERROR", "CRITICAL")
_MSGID = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"  # borg's names of messages; the client says which
_MOST_NAMED = 10
_LONGEST_ALERT = 1000  # characters after which an alert that stands takes in no more names


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that has ended, at `time`; `job` is None for hello, `seen` is what was sent as --seen.

    `by_hand`: a person named the job, and neither the target's file nor the client's own offer does. `judged` is False
    for what is nobody's backup: a window, or a request that was spelled out, as `title` says.
    """

    job: str | None
    verdict: Verdict
    transcript: Transcript
    seen: Head | None
    time: float
    config: str | None = None  # the hash of the repository's config, afterwards
    by_hand: bool = False
    judged: bool = True
    title: str = "window"
    named: tuple[str, ...] = ()  # the jobs of the target's file
    lists: bool = False  # the file says which jobs are run, and nobody asks the client
    passed: Passed | None = None
    refused: Refused | None = None


def withdrawn(state: State, ended: Ended) -> list[Alert]:
    """Let jobs go that the client says it has no more; of one that has gone well that is an alert.

    A client that wants an overdue job out of sight can do so, and not unseen.
    """
    if ended.lists:
        retire(state, ended.named)
    hello = ended.transcript.hello
    if ended.job is not None or hello is None or ended.verdict.outcome not in GOOD:
        return []
    kept = {*(str(job) for job, _ in hello.jobs), *ended.named}
    return _forgotten(state, [job for job in state.jobs if job not in kept], "the client no longer offers", ended.time)


def retire(state: State, named: tuple[str, ...]) -> None:
    """Let jobs go that a target's file named once, or its client offered, where it names others now.

    That is its admin's own act, and no alert; what was run by hand stays.
    """
    for name in [name for name, job in state.jobs.items() if job.by_hand is False and name not in named]:
        del state.jobs[name]


def _forgotten(state: State, jobs: list[str], why: str, now: float) -> list[Alert]:
    """Take jobs out of the state, and return an alert that names those that have gone well."""
    gone = {name: state.jobs.pop(name) for name in jobs}
    weighty = [f"{name!r} (last good {iso(job.good.time)})" for name, job in gone.items() if job.good and _weighs(job)]
    if not weighty:
        return []
    more = f" and {len(weighty) - _MOST_NAMED} more" if len(weighty) > _MOST_NAMED else ""
    standing = state.alerts.get("job-withdrawn")
    new = state.alert("job-withdrawn", f"{why} {', '.join(weighty[:_MOST_NAMED])}{more}", now)
    if standing is not None and len(standing.text) < _LONGEST_ALERT:
        standing.text = f"{standing.text}; {new.text}"
    return [new]


def _weighs(job: Job) -> bool:
    return job.good is not None and job.command != "init"


def _room(state: State, ended: Ended) -> list[Alert] | None:
    """Make room for one more job: the oldest that never went well, else, for one that did, the oldest of all.

    Return what is alarming about that, None where there is no room. A job that the target's file names never goes.
    """
    if len(state.jobs) < MOST_JOBS:
        return []
    others = sorted(
        (name for name in state.jobs if name not in ended.named), key=lambda name: state.jobs[name].last.time
    )
    idle = [name for name in others if not _weighs(state.jobs[name])]
    wanted = ended.verdict.outcome in GOOD or ended.job in ended.named
    chosen = idle[:1] or (others[:1] if wanted else [])
    return _forgotten(state, chosen, "forgotten to make room:", ended.time) if chosen else None


def count(state: State, ended: Ended) -> list[Alert]:
    """Note how the run ended; a client cannot add jobs without end. Return what is alarming about that."""
    past = _past(ended)
    if not ended.judged or (ended.job is None and past.outcome in GOOD):
        return []
    if ended.by_hand and (past.outcome, past.reason) == ("refused", "unknown-job"):
        return _unknown(state, ended.job or "", ended.time)
    if ended.by_hand and (ended.verdict.origin, past.reason) == (
        "guard",
        "no-repository",
    ):  # tried before there was one
        return []
    state.last = past.after(state.last)
    if ended.job is None:
        return []
    alerts = [] if ended.job in state.jobs else _room(state, ended)
    if alerts is None:
        return []
    job = state.jobs.setdefault(ended.job, Job(past))
    state.last = job.last = past.after(job.last)
    job.by_hand = ended.by_hand
    job.passed = asdict(ended.passed) if ended.passed else None
    told = ended.transcript.ending()
    job.pruned = told.pruned if told else None
    if ended.transcript.start is not None and job.command != "create":  # what made archives once is to go on with it
        job.command = ended.transcript.start.command
    if past.outcome in GOOD and past.reason != DRY_RUN:
        job.good, job.files = job.last, ended.transcript.files
    return alerts


def _past(ended: Ended) -> Past:
    """Return what is kept of a run; who called it failed said why, in a word of ours, of borg's or of ssh's."""
    verdict, messages = ended.verdict, ended.transcript.messages
    detail = None
    if verdict.reason == "ssh-failed":
        found = ailment(message.text for message in messages if message.source == "unframed")
        detail = None if found == "ssh" else found
    elif verdict.outcome not in GOOD:
        said = [message.msgid for message in messages if message.source == "borg" and message.level in _ERRORS]
        detail = next((name for name in reversed(said) if name and re.fullmatch(_MSGID, name)), None)
    return Past(ended.time, verdict.outcome, verdict.reason, detail, run=ended.transcript.gate_run)


def _unknown(state: State, job: str, now: float) -> list[Alert]:
    """Let a job go that a person named and that is none, or is none any more.

    That says nothing of how the target stands; of one that has gone well it is an alert, as with hello.
    """
    kept = state.jobs.get(job)
    if kept is None:
        return []
    state.last = None if state.last is not None and kept.last.time == state.last.time else state.last
    return _forgotten(state, [job], "the client no longer offers", now)
