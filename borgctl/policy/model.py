"""The policy as a frozen value: what this client offers to one server, checked.

It knows what a policy says, not how it is written (`load`) nor what a server requests (`wire.request`). Paths and
names of archives are templates until `judge` knows host, job and time. Durations are seconds; `line` is the line in
the policy.

    >>> Repository(Template("/srv/borg/{hostname}"), encrypted=True, line=4).encrypted
    True
"""

from borgctl.data_class import dataclass, field
from borgctl.policy.placeholders import Template
from borgctl.values import DevicePath, JobName, SourcePath


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that requests may use; with `encrypted` set, `init` may use repokey and keyfile modes only."""

    path: Template
    encrypted: bool
    line: int


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where the passphrase comes from: a file, or one line that a program prints; neither if no repository has one."""

    file: str | None = None
    program: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A named order that the client's admin wrote; options' values may have placeholders, a flag's value is None."""

    name: JobName
    command: str
    line: int
    options: tuple[tuple[str, str | None], ...] = ()
    archive: Template | None = None
    paths: tuple[SourcePath | DevicePath, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A borg subcommand that the server may spell out, with these options and inside these paths."""

    command: str
    line: int
    options: frozenset[str] = frozenset()
    paths: tuple[SourcePath, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables that the policy sets for borg, and the names of those that the server may send."""

    set: tuple[tuple[str, str], ...] = ()
    accept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """`runtime` and `hook` (for each hook) in seconds, `sessions` at once, `nice` as nice(1), `ionice` as ionice(1).

    `memory` is the address space, in bytes, of borg and of each process that it starts. By borg's own figures (44 bytes
    for a chunk of 2 MiB and 80 for it in the files cache, 240 for a file) 30 TB in 10 million files take 4 GB.
    """

    runtime: int = 12 * 3600
    hook: int = 3600
    sessions: int = 8
    nice: int = 10
    ionice: str = "idle"
    memory: int = 8 << 30


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where audit records go."""

    file: str
    syslog: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """All that one server key may start. `digest` is the SHA-256 of the file's bytes."""

    file: str
    digest: str
    repositories: tuple[Repository, ...]
    passphrase: Passphrase
    jobs: dict[str, Job]
    base: str
    audit: AuditSettings
    socket_directory: str
    borg: str = "/usr/bin/borg"
    user: str = "_borgctl"
    commands: dict[str, Offer] = field(default_factory=dict)
    environment: Environment = Environment()
    transports: frozenset[str] = frozenset(("stdio",))
    published: bool = False
    names_disclosed: bool = False
    limits: Limits = Limits()
    sandbox: str = "require"
    window: int = 0  # the longest time in seconds, 0: none
