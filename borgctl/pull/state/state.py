"""State: what the launcher remembers of one target. How it is kept in a file is in `state_file`.

state.alert("audit-broken", "the client's audit log does not hold record 7:…", now)
state.accept("root (sudo: eva)", "log was moved to a new disk", now)        the alerts that this took away
"""

from dataclasses import dataclass, field, replace

from borgctl.pull.client.verdict import GOOD
from borgctl.values import Head

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
