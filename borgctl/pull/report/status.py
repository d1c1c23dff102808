"""status: judge every target from its file and its state alone; no client is asked.

A job is overdue by `expect` in the target file, or by the default. Judged are the target's jobs, or where it names none
those that have made archives; every other job that ever had a good run; and the last attempt, if it failed before it
reached a job. Alerts stand until a person accepts them. `fleet_status` makes one value of it, for all renderings.

    for standing in standings(folders, ["web1"], now): standing.level      0 all well, 1 warnings, 2 critical
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from borgctl.console.age import IN_THE_FUTURE, age
from borgctl.console.text import elapsed
from borgctl.data_class import dataclass, replace
from borgctl.errors import BadValue
from borgctl.fs.secure_path import InsecurePath
from borgctl.process.effective_user import acting_as
from borgctl.pull.report.job_status import Row
from borgctl.pull.report.past_runs import retire
from borgctl.pull.report.target_status import AtWork, Standing
from borgctl.pull.report.untold import untold
from borgctl.pull.repository.inspection import RepositoryProblem, problem
from borgctl.pull.state import running, state_file
from borgctl.pull.state.as_chooser import chooser
from borgctl.pull.state.broken_off import mark_failed
from borgctl.pull.state.running import Seen
from borgctl.pull.state.state import JobRecord, Past, State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import Target, load
from borgctl.text import iso
from borgctl.wire.frames import GOOD

_JUDGED = ("ok", "seen", "warning", "failing", "new", "overdue", "never")  # by when they ran, and how that went


@dataclass(frozen=True, slots=True)
class _Judge:
    """The facts about one target; `added` is when the target was made, or first run."""

    target: Target
    state: State
    added: float
    now: float
    wrong: RepositoryProblem | None


def standings(folders: Folders, names: Iterable[str], now: float) -> Iterator[Standing]:
    """Yield the standing of each target."""
    for text in names:
        try:
            name = TargetName(text)
            target = load(folders, name)
            state = state_file.load(folders, name)
            judge = _Judge(target, state, _added(folders, target, state), now, _problem(folders, target, state))
            begun = running.seen(folders, name)
        except (PullError, BadValue, OSError, InsecurePath) as error:
            yield Standing(text, (Row(text, None, "invalid", text=str(error).partition("\n")[0]),), State())
            continue
        mark_failed(state, begun)
        if target.jobs is not None:
            retire(state, tuple(str(job.name) for job in target.described))
        rows = tuple(_completed(row, state, now) for row in (_paused(judge) or _rows(judge)))
        yield Standing(text, rows, state, _at_work(begun, now), untold(folders, target, now))


def _problem(folders: Folders, target: Target, state: State) -> RepositoryProblem | None:
    """Look at the repository; root does so with the rights of the user who can choose what is there, links too."""
    with acting_as(_chooser(folders, target) if os.geteuid() == 0 else 0):
        return problem(target, state)


def _chooser(folders: Folders, target: Target) -> int:
    """Return that user; the launcher's where something is missing, or others may write to a directory of root's."""
    try:
        return chooser(str(target.repository))
    except (OSError, InsecurePath):
        return chooser(folders.target(target.name))


def _completed(row: Row, state: State, now: float) -> Row:
    """Add for how long it has failed, and whether a person has looked since."""
    if row.last is None:
        return row
    failing = None if row.last.since is None else max(0.0, now - row.last.since)
    return replace(row, failing=failing, accepted=_accepted(row.last, state))


def _accepted(last: Past, state: State) -> bool:
    """Tell whether a person has accepted an alert of this very reason since."""
    since = [acceptance.alerts for acceptance in state.accepted if acceptance.time >= last.time]
    return any(text.startswith(f"{last.reason}: ") for alerts in since for text in alerts)


def _at_work(seen: Seen | None, now: float) -> AtWork | None:
    if seen is None or not seen.alive:
        return None
    return AtWork(seen.begun.kind, seen.begun.job, max(0.0, now - seen.begun.time))


def _added(folders: Folders, target: Target, state: State) -> float:
    """Return when the target was made: its key is never written again, and its first run stays in the state."""
    times = [state.since] if state.since is not None else []
    for path in (folders.target(target.name), f"{folders.key(target.name)}.pub"):
        try:
            times.append(os.stat(path).st_mtime)
        except OSError:  # transport local has no key; the file was there a moment ago
            continue
    return min(times, default=0.0)


def _paused(judge: _Judge) -> list[Row]:
    """Return the rows of a target that is paused now, which shows its jobs and judges none of them; else nothing."""
    pause = judge.target.paused(judge.now)
    if pause is None:
        return []
    told = Row(str(judge.target.name), None, "paused", text=str(pause).removeprefix("paused "))
    seen: dict[str, Any] = {"state": "seen", "expect": None, "assumed": False}
    return [told, *(replace(row, **seen) if row.state in _JUDGED else row for row in _rows(judge))]


def _rows(judge: _Judge) -> Iterator[Row]:
    target, state, name = judge.target, judge.state, str(judge.target.name)
    if (reason := obstacle(target)) is not None:
        yield Row(name, None, "not-ready", text=reason)
    if judge.wrong is not None and not judge.wrong.hidden:
        yield Row(name, None, "unusable", text=f"{judge.wrong.reason}: {judge.wrong.text}")
    expected = [str(job) for job in target.jobs] if target.jobs is not None else _archiving(state)
    for job in expected:
        yield _row(judge, job, state.jobs.get(job), target.expected(job) or target.expect)
    for job, past in state.jobs.items():
        if job not in expected and not _is_done(state, past):
            row = _row(judge, job, past, target.expected(job))
            judged = past.good is not None and past.command != "init"
            yield row if judged else Row(name, job, "seen", row.age, last=past.last, good=past.good)
    failed = state.last if state.last and state.last.outcome not in GOOD else None
    if not expected:
        yield _never(judge, Row(name, None, "never", expect=target.expect, last=failed))
    elif failed and failed.time not in [job.last.time for job in state.jobs.values()]:  # it reached no job
        yield Row(name, None, "failing", text=f"tried {elapsed(max(0.0, judge.now - failed.time))} ago", last=failed)


def _is_done(state: State, job: JobRecord) -> bool:
    """Tell whether a job is an init that went well and that others have followed: nobody has to hear of it again."""
    return job.command == "init" and job.last.outcome in GOOD and len(state.jobs) > 1


def _archiving(state: State) -> list[str]:
    return [name for name, job in state.jobs.items() if job.command == "create"]


def _assumed(judge: _Judge, job: str | None) -> bool:
    """Tell whether no file says how old the job's last good run may be."""
    return not judge.target.expect_said and (job is None or judge.target.expected(job) is None)


def _never(judge: _Judge, row: Row) -> Row:
    """Return the row of a job without a good run: it is new until it is due."""
    added = age(judge.added, judge.now)
    due = row.expect is not None and added.overdue(row.expect)
    text = f"added {elapsed(added.seconds)} ago"
    assumed = row.expect is not None and _assumed(judge, row.job)
    return replace(row, state="never" if due else "new", text=text, assumed=assumed)


def _row(judge: _Judge, name: str, job: JobRecord | None, expect: int | None) -> Row:
    target = str(judge.target.name)
    if job is None or job.good is None:
        return _never(judge, Row(target, name, "never", expect=expect, last=job.last if job else None))
    good = age(job.good.time, judge.now)
    if expect is not None and good.overdue(expect):
        word = "overdue"
    elif job.last.outcome not in GOOD:
        word = "failing"
    else:
        word = job.last.outcome
    text = f"the last good run is of {iso(job.good.time)}, which is {IN_THE_FUTURE}" if good.ahead else None
    assumed = expect is not None and _assumed(judge, name)
    return Row(target, name, word, good.seconds, expect, assumed, job.last, job.good, text)
