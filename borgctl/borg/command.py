"""The three decisions that allow a request: a borg command, the answer to hello, a window. Only `judge` builds one.

There is no decision 'no' that a caller could overlook: a refusal is an exception. This module does not know why a
request is allowed.

    BorgCommand("web1.yaml:7", "list", (), RepositoryPath("/srv/borg/web1"), "stdio", "text", disclosed=False)
"""

from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FILE
from borgctl.data_class import dataclass
from borgctl.values import ArchiveName, DevicePath, RepositoryPath, SourcePath


@dataclass(frozen=True, slots=True)
class BorgCommand:
    """One borg subcommand with everything decided; option values are checked, None for a flag.

    `rule` is where the policy allows it (`file:line`). `requested`: the peer chose the paths, so they are opened and
    checked before use. `disclosed`: the server may learn names of files.
    """

    rule: str
    command: str
    options: tuple[tuple[str, str | None], ...]
    repository: RepositoryPath
    transport: str
    log: str
    disclosed: bool
    archive: ArchiveName | None = None
    paths: tuple[SourcePath | DevicePath, ...] = ()
    requested: bool = False
    job: str | None = None
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()

    @property
    def dry(self) -> bool:
        """Tell whether this `create` is a dry run; borg does not open the repository then."""
        return self.command == "create" and any(name == "dry-run" for name, _ in self.options)

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the files and directories of this host that borg has to read."""
        return (*map(str, self.paths), *self.patterns)

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the paths that may be devices or lead to one, and whose content borg reads."""
        special = self.command == "create" and any(name == "read-special" for name, _ in self.options)
        return tuple(map(str, self.paths)) if special else ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return the pattern files that borg reads."""
        kinds = COMMANDS[self.command].options
        return tuple(value for name, value in self.options if value is not None and kinds[name].job is FILE)


@dataclass(frozen=True, slots=True)
class HelloReply:
    """The answer to hello: what the policy offers, as plain values for JSON."""

    offer: dict[str, object]


@dataclass(frozen=True, slots=True)
class WindowGrant:
    """A restore window of at most `seconds`, for one command of the client's own admin."""

    rule: str
    repository: RepositoryPath
    transport: str
    seconds: int
    command: str = "window"
