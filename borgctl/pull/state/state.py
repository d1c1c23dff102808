"""State: what the launcher remembers of one target. How it is kept in a file is in `state_file`.

state.alert("audit-broken", "the client's audit log does not hold record 7:…", now)
state.accept("root (sudo: eva)", "log was moved to a new disk", now)        the alerts that this took away
"""

from borgctl.data_class import dataclass, field, replace
from borgctl.values import Head
from borgctl.wire.frames import GOOD

MOST_JOBS = 200
MOST_ACCEPTED = 50


@dataclass(frozen=True, slots=True)
class Past:
    """A run that has ended, at `time` (seconds since the epoch).

    `detail` is borg's name of its message, or the kind of ssh's error; `since` is when the first of these failures in a
    row was, `run` the client's id of it.
    """

    time: float
    outcome: str
    reason: str | None = None
    detail: str | None = None
    since: float | None = None
    run: str | None = None

    def after(self, last: "Past | None") -> "Past":
        """Return this run as the one after `last`, with the time of the first failure in a row."""
        if self.outcome in GOOD:
            return self
        failed = last is not None and last.outcome not in GOOD
        return replace(self, since=(last.since or last.time) if last is not None and failed else self.time)


@dataclass(slots=True)
class JobRecord:
    """A job's last run and its last good one; `command` is borg's, by the client's word, `passed` the guard's counts.

    `pruned` is what the client says that its last prune kept and marked. `by_hand`: only the command line named it when
    it last ran; None: unknown, from an earlier version. `files` is the number of files in the archive of the last good
    run, None where that is unknown.
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
    """Something alarming about a client, until a person accepts it: when it first happened, and how often."""

    reason: str
    text: str
    time: float
    count: int = 1
    latest: float = 0.0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A person's decision about alerts, and their reason."""

    time: float
    by: str
    reason: str
    alerts: tuple[str, ...]


@dataclass(slots=True)
class State:
    """All of it; `last` is the last attempt, also one that did not reach a job."""

    head: Head | None = None
    last: Past | None = None
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    accepted: list[Acceptance] = field(default_factory=list)
    config: str | None = None  # the hash of the repository's config
    linked: bool = False  # we took or computed the head as a link; an earlier release did not
    repository: str | None = None  # the repository's id, once there is one; `init` is for a target without
    since: float | None = None  # when a run was first recorded
    contents: str | None = None  # what the repository held after the last session; None during one
    untried_key: bool = False  # a window for that changed the key, and nobody has used the new one yet
    lost: bool = False  # the file cannot be read

    def alert(self, reason: str, text: str, now: float) -> Alert:
        """Add an alert, or count one more of the one that stands; return the new one."""
        new = Alert(reason, text, now, latest=now)
        standing = self.alerts.setdefault(reason, new)
        if standing is not new:
            standing.count, standing.latest = standing.count + 1, now
        return new

    @property
    def knows_repository(self) -> bool:
        """Tell whether there was a repository already; an earlier version kept only the hash of its config."""
        return self.repository is not None or self.config is not None

    def accept(self, by: str, reason: str, now: float) -> tuple[Alert, ...]:
        """Clear all alerts, and keep who did so and why; return them.

        Where the client's audit log did not continue, the next head from the client is taken as it is.
        """
        taken = tuple(self.alerts.values())
        if taken:
            self.note(by, reason, now, tuple(f"{alert.reason}: {alert.text}" for alert in taken))
            self.head = None if "audit-broken" in self.alerts else self.head
            for job in self.jobs.values():  # a backup that is empty on purpose may stay empty
                job.files = None if job.last.reason == "nothing-backed-up" else job.files
            self.alerts = {}
        return taken

    def note(self, by: str, reason: str, now: float, what: tuple[str, ...]) -> None:
        """Keep who decided what, and why."""
        self.accepted = [*self.accepted, Acceptance(now, by, reason, what)][-MOST_ACCEPTED:]
