"""State: what the launcher remembers of one target, in one JSON file that is replaced whole.

    STATE/NAME/state.json      the head of the client's audit log, each job's last and last good run, alerts,
                               which repository it is

Whoever changes it holds the target's lock; a reader sees the old file or the new. One that cannot be read is put aside
and is an alert itself, and keeps no backup from being made.

    state = load(folders, name); save(folders, name, state)
"""

import dataclasses
import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import Any

from borgctl.errors import BadValue
from borgctl.fs import atomic
from borgctl.pull.client import frame_fields
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.values import Head, JobName
from borgctl.wire.frames import GOOD

LARGEST = 1 << 20
MOST_JOBS = 200
MOST_ACCEPTED = 50


@dataclass(frozen=True, slots=True)
class Past:
    """A run that has ended, at `time` (seconds since the epoch).

    `detail` is borg's name of its message, or what ssh ails from; `since` is when the first of these failures in a row
    was, `run` the client's id of it.
    """

    time: float
    outcome: str
    reason: str | None = None
    detail: str | None = None
    since: float | None = None
    run: str | None = None

    def after(self, last: "Past | None") -> "Past":
        """Return it as what came after `last`: it fails since that failed, or from now on."""
        if self.outcome in GOOD:
            return self
        failed = last is not None and last.outcome not in GOOD
        return replace(self, since=(last.since or last.time) if last is not None and failed else self.time)


@dataclass(slots=True)
class Job:
    """A job's last run and its last good one; `command` is borg's, as the client said, `passed` what the last did.

    `pruned` is what the client says that its last prune kept and marked. `by_hand`: nothing but the command line named
    it when it last ran; None: not known, from an earlier version. `files` is how many the archive of the last good run
    has, None where that is not known.
    """

    last: Past
    good: Past | None = None
    command: str | None = None
    passed: dict[str, int] | None = None
    pruned: tuple[int, ...] | None = None
    by_hand: bool | None = None
    files: int | None = None


@dataclass(slots=True)
class Alert:
    """What is alarming about a client, until a person accepts it: when it first happened, and how often since."""

    reason: str
    text: str
    time: float
    count: int = 1
    latest: float = 0.0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A person's word on alerts."""

    time: float
    by: str
    reason: str
    alerts: tuple[str, ...]


@dataclass(slots=True)
class State:
    """All of it; `last` is the last attempt, also one that did not come to a job."""

    head: Head | None = None
    last: Past | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    accepted: list[Acceptance] = field(default_factory=list)
    config: str | None = None  # the hash of the repository's config
    linked: bool = False  # the head is a link that we took or computed, not one that an earlier release kept
    repository: str | None = None  # the repository's id, once there is one; `init` is for a target without
    since: float | None = None  # when a run was first remembered
    contents: str | None = None  # what the repository held after the last session; None while one is at it
    untried_key: bool = False  # the key was changed in a window for that, and nobody has used the new one yet
    lost: bool = False  # there was a file that cannot be read

    def alert(self, reason: str, text: str, now: float) -> Alert:
        """Add an alert, or count it to the one that is there; return it as it is now."""
        new = Alert(reason, text, now, latest=now)
        kept = self.alerts.setdefault(reason, new)
        if kept is not new:
            kept.count, kept.latest = kept.count + 1, now
        return new

    @property
    def knows_repository(self) -> bool:
        """Tell whether there was a repository already; an earlier version kept the hash of its config alone."""
        return self.repository is not None or self.config is not None

    def accept(self, by: str, reason: str, now: float) -> tuple[Alert, ...]:
        """Take all alerts away, keeping who said why; return them.

        Where the client's audit log did not continue, what it tells next is the beginning of what is kept of it.
        """
        taken = tuple(self.alerts.values())
        if taken:
            self.note(by, reason, now, tuple(f"{alert.reason}: {alert.text}" for alert in taken))
            self.head = None if "audit-broken" in self.alerts else self.head
            for job in self.jobs.values():  # what is empty on purpose may be empty from now on
                job.files = None if job.last.reason == "nothing-backed-up" else job.files
            self.alerts = {}
        return taken

    def note(self, by: str, reason: str, now: float, what: tuple[str, ...]) -> None:
        """Keep who decided what, and why."""
        self.accepted = [*self.accepted, Acceptance(now, by, reason, what)][-MOST_ACCEPTED:]


def load(folders: Folders, name: TargetName) -> State:
    """Read a target's state; an empty one where there is none, and one with an alert where it cannot be read."""
    path = folders.memory(name)
    try:
        with open(path, "rb") as file:
            return _read(file.read(LARGEST + 1))
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, BadValue) as error:
        state = State(lost=True)
        state.alert("state-lost", f"{path} cannot be read: {type(error).__name__}", os.path.getmtime(path))
        return state


def save(folders: Folders, name: TargetName, state: State) -> None:
    """Write a target's state, on disk when this returns; one that could not be read is kept as state.json.broken."""
    path = folders.memory(name)
    atomic.directories(os.path.dirname(path))
    told = dataclasses.asdict(state) | {"version": 1, "head": state.head and str(state.head)}
    del told["lost"]
    aside = f"{os.path.basename(path)}.broken" if state.lost else None
    atomic.replace(path, json.dumps(told, indent=1).encode("ascii"), aside=aside)


def _read(data: bytes) -> State:
    told = json.loads(data.decode("ascii"))
    if told["version"] != 1:
        raise ValueError
    return State(
        head=None if told["head"] is None else Head.read(told["head"]),
        since=None if told.get("since") is None else _number(told["since"]),
        last=_past(told["last"]),
        jobs={str(JobName(name)): _job(job) for name, job in told["jobs"].items()},
        alerts={_text(name): _alert(alert) for name, alert in told["alerts"].items()},
        accepted=[
            Acceptance(_number(one["time"]), _text(one["by"]), _text(one["reason"]), tuple(map(_text, one["alerts"])))
            for one in told["accepted"]
        ],
        config=None if told.get("config") is None else _text(told["config"]),
        linked=told.get("linked") is True,
        repository=_id(told.get("repository")),
        untried_key=told.get("untried_key") is True,
        contents=None if told.get("contents") is None else _text(told["contents"]),
    )


def _id(value: object) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", _text(value)):
        raise ValueError
    return None if value is None else str(value)


def _past(told: Any) -> Past | None:  # noqa: ANN401 - JSON
    if told is None:
        return None
    reason, detail, run = (
        None if (word := told.get(key)) is None else _text(word) for key in ("reason", "detail", "run")
    )
    since = None if told.get("since") is None else _number(told["since"])
    return Past(_number(told["time"]), _text(told["outcome"]), reason, detail, since, run)


def _job(told: Any) -> Job:  # noqa: ANN401
    last, command = _past(told["last"]), told["command"]
    if last is None:
        raise ValueError
    passed = told.get("passed")
    return Job(
        *(last, _past(told["good"]), None if command is None else _text(command)),
        None if passed is None else {_text(name): int(count) for name, count in passed.items()},
        frame_fields.tally(*(told.get("pruned") or (None, None))),
        by_hand if (by_hand := told.get("by_hand")) in (True, False) else None,
        None if told.get("files") is None else int(_number(told["files"])),
    )


def _alert(told: Any) -> Alert:  # noqa: ANN401
    numbers = (_number(told["time"]), int(_number(told["count"])), _number(told["latest"]))
    return Alert(_text(told["reason"]), _text(told["text"]), *numbers)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise TypeError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
