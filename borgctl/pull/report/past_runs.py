"""Past runs: record a job's last run and its last good one, and decide which jobs are kept at all.

A restore window and a spelled-out request do not change a target's status; nor does a job that does not exist.

    alerts = [*drop_withdrawn(state, ended), *note_run(state, ended)]
"""

import re

from borgctl.data_class import asdict, dataclass
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.hints import ssh_failure
from borgctl.pull.report.trends import Finding
from borgctl.pull.repository.guard_process import Passed, Refused
from borgctl.pull.state import history
from borgctl.pull.state.state import MOST_JOBS, Alert, JobRecord, Past, State
from borgctl.text import iso
from borgctl.values import Head
from borgctl.wire.frames import DRY_RUN, GOOD

_MSGID = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"  # borg's names of messages; the client says which
_MOST_NAMED = 10
_LONGEST_ALERT = 1000  # characters after which an alert that stands takes in no more names


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that has ended, at `time`; `job` is None for hello, `seen` is what was sent as --seen.

    `by_hand`: a person named the job, and neither the target file nor the client's own offer does. `judged` is False
    for what is no backup: a window, or a spelled-out request, as `title` says.
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
    named: tuple[str, ...] = ()  # the jobs of the target file
    lists: bool = False  # the file says which jobs to run, so the client is not asked
    passed: Passed | None = None
    refused: Refused | None = None
    findings: tuple[Finding, ...] = ()  # by comparison with earlier runs


def drop_withdrawn(state: State, ended: Ended) -> list[Alert]:
    """Drop jobs that the client no longer offers; for a job with a good run that is an alert.

    So a client can hide an overdue job, but not unnoticed.
    """
    if ended.lists:
        retire(state, ended.named)
    hello = ended.transcript.hello
    if ended.job is not None or hello is None or ended.verdict.outcome not in GOOD:
        return []
    offered = {*(str(job) for job, _ in hello.jobs), *ended.named}
    return _forgotten(
        state, [job for job in state.jobs if job not in offered], "the client no longer offers", ended.time
    )


def retire(state: State, named: tuple[str, ...]) -> None:
    """Drop jobs that the target file named earlier, or its client offered, where the file names others now.

    Its admin did that, so it is no alert. Jobs that were run by hand stay.
    """
    for name in [name for name, job in state.jobs.items() if job.by_hand is False and name not in named]:
        del state.jobs[name]


def _forgotten(state: State, jobs: list[str], why: str, now: float) -> list[Alert]:
    """Take jobs out of the state; return an alert that names those with a good run."""
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


def _weighs(job: JobRecord) -> bool:
    return job.good is not None and job.command != "init"


def _room(state: State, ended: Ended) -> list[Alert] | None:
    """Make room for one more job: drop the oldest without a good run, else, for a job with one, the oldest of all.

    Return alerts about that, None where there is no room. A job that the target file names is never dropped.
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


def note_run(state: State, ended: Ended) -> list[Alert]:
    """Record how the run ended; return alerts about it. A client cannot add jobs without end."""
    past = _past(ended)
    if not ended.judged or (ended.job is None and past.outcome in GOOD):
        return []
    if ended.by_hand and (past.outcome, past.reason) == ("refused", "unknown-job"):
        return _unknown(state, ended.job or "", ended.time)
    if ended.by_hand and (ended.verdict.origin, past.reason) == ("guard", "no-repository"):
        return []  # tried before there was a repository
    state.last = past.after(state.last)
    if ended.job is None:
        return []
    alerts = [] if ended.job in state.jobs else _room(state, ended)
    if alerts is None:
        return []
    job = state.jobs.setdefault(ended.job, JobRecord(past))
    state.last = job.last = past.after(job.last)
    job.by_hand = ended.by_hand
    job.passed = asdict(ended.passed) if ended.passed else None
    ending = ended.transcript.ending()
    job.pruned = ending.pruned if ending else None
    if ended.transcript.start is not None and job.command != "create":  # once create, always create
        job.command = history.word(ended.transcript.start.command)
    if past.outcome in GOOD and past.reason != DRY_RUN:
        job.good, job.files = job.last, ended.transcript.files
    return alerts


def _past(ended: Ended) -> Past:
    """Return what to keep of a run: its reason, and borg's or ssh's own word for the failure."""
    verdict, messages = ended.verdict, ended.transcript.messages
    detail = None
    if verdict.reason == "ssh-failed":
        failure = ssh_failure(message.text for message in messages if message.source == "unframed")
        detail = None if failure == "ssh" else failure
    elif verdict.outcome not in GOOD:
        names = [message.msgid for message in messages if message.source == "borg" and message.is_error]
        detail = next((name for name in reversed(names) if name and re.fullmatch(_MSGID, name)), None)
    return Past(ended.time, verdict.outcome, verdict.reason, detail, run=ended.transcript.gate_run)


def _unknown(state: State, job: str, now: float) -> list[Alert]:
    """Drop a job that a person named and that does not exist, or no longer.

    It does not change the target's status; for a job with a good run it is an alert, as with hello.
    """
    past = state.jobs.get(job)
    if past is None:
        return []
    state.last = None if state.last is not None and past.last.time == state.last.time else state.last
    return _forgotten(state, [job], "the client no longer offers", now)
