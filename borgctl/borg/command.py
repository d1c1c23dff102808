"""What a decision is: an allowed request, ready to run. Only `judge` builds one; there is no verdict 'no' to forget."""

from borgctl.borg.options import COMMANDS, FILE
from borgctl.data_class import dataclass
from borgctl.values import ArchiveName, DevicePath, RepositoryPath, SourcePath


@dataclass(frozen=True, slots=True)
class BorgCommand:
    """One borg subcommand with everything decided; option values are checked, None for a flag.

    `rule` is where the policy allows it (`file:line`); `requested` tells that the peer chose the paths, which are then
    opened and checked before use; `disclosed` tells that the server may learn names of files.
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
        """Tell whether it makes an archive only in appearance; borg does not open the repository then."""
        return self.command == "create" and any(name == "dry-run" for name, _ in self.options)

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the files and directories of this host that it is about: what borg has to be able to read."""
        return (*map(str, self.paths), *self.patterns)

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the paths that may be devices, or lead to one: borg then reads what is on it."""
        special = self.command == "create" and any(name == "read-special" for name, _ in self.options)
        return tuple(map(str, self.paths)) if special else ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return the files of patterns that borg is told to read."""
        kinds = COMMANDS[self.command].options
        return tuple(value for name, value in self.options if value is not None and kinds[name].job is FILE)


@dataclass(frozen=True, slots=True)
class HelloReply:
    """The answer to hello: what this policy offers, as plain values for JSON."""

    offer: dict[str, object]


@dataclass(frozen=True, slots=True)
class WindowGrant:
    """A window to be held open for `seconds` at most, for one command of the client's own admin."""

    rule: str
    repository: RepositoryPath
    transport: str
    seconds: int
    command: str = "window"
