"""Events: what one line of the client's stream says, as values whose types were checked. `frames` reads them.

>>> Offer("0a1b2c3d4e5f6071", 1, ((JobName("default"), "create"),)).jobs[0][1]
'create'
"""

from collections.abc import Mapping

from borgctl.data_class import dataclass, field
from borgctl.values import Head, JobName


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client offers: jobs as (name, command); empty where the protocol is not ours.

    `policy` is its digest, `time` its clock in seconds since the epoch, `obstacles` are reasons why a run would fail;
    `skipped` is how many mounted file systems each job leaves out; what a gate doesn't say is None or empty.
    """

    run: str
    protocol: int
    jobs: tuple[tuple[JobName, str], ...]
    version: str | None = None
    policy: str | None = None
    transports: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    borg: str | None = None
    time: float | None = None
    obstacles: tuple[str, ...] = ()
    skipped: tuple[tuple[JobName, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The gate has accepted the request; job and repository are None where it has none, as with hello."""

    run: str
    command: str
    job: str | None
    repository: str | None


@dataclass(frozen=True, slots=True)
class GateMessage:
    """A sentence of the gate's own, for people."""

    run: str
    text: str


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line of borg's or of a hook's, or a piece of one if `more`."""

    run: str
    source: str
    stream: str
    data: str
    more: bool


@dataclass(frozen=True, slots=True)
class AuditProof:
    """The client's word about its audit log: its head, and whether it holds the record that was sent as --seen.

    `digests` are those of the records from there to the head, None where it has none; `behind` is how many more there
    are. `proves`: the gate can show them in a form that we know.
    """

    head: Head
    continues: bool | None
    proves: bool = False
    digests: tuple[str, ...] | None = None
    behind: int = 0


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window's state: open, used by a command of the client's own admin, or renewed: that has changed the key."""

    run: str
    state: str


@dataclass(frozen=True, slots=True)
class Exit:
    """The gate's exit line, its last word on a run.

    `skipped_mounts`: how many file systems `one-file-system` kept out of it; `warnings`: counts of borg's warnings by
    kind (`warning_kinds.KINDS`).
    """

    run: str
    outcome: str
    origin: str
    code: int
    reason: str | None
    audit: AuditProof | None = None
    skipped_mounts: int = 0
    warnings: Mapping[str, int] = field(default_factory=dict)
    pruned: tuple[int, ...] | None = None  # archives that a prune kept, and marked as deleted


@dataclass(frozen=True, slots=True)
class Unframed:
    """A line without a frame: a banner, a shell's output, ssh's own error. Shown, never believed."""

    text: str


Event = Offer | Start | GateMessage | OutputLine | WindowState | Exit | Unframed
