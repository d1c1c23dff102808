"""Build borg's argv from nothing.

The order is always the same: subcommand, the gate's own options, the command's options, excludes of runtime files,
options for output, `--`, location, paths. It does not know where the values come from: their types cannot hold
anything else.

    build(command, "/usr/bin/borg", supported("1.4.5"))
    == ["/usr/bin/borg", "create", "--log-json", …, "--", "ssh://borgctl/srv/borg/web1::a", "/etc"]
"""

import json

from borgctl.borg.command import BorgCommand
from borgctl.borg.version import Version
from borgctl.errors import BorgctlError
from borgctl.fs import runtime_files
from borgctl.values import RepositoryPath

# One host name for every transport: borg remembers locations, and another name would look like a moved repository.
HOST = "borgctl"
_LOCK_WAIT = 120  # seconds; the run lock keeps other gates out, so borg only waits for the server's own compact
_UMASK = "0077"
# Characters of an argv that a peer spelled out, as JSON: a record holds them whole, with room for the rest
_MOST_RECORDED = 8 * 1024
_LONGEST_RECORDED = 1024


def build(command: BorgCommand, borg: str, version: Version | None) -> list[str]:
    """Return borg's argv for a command; `version` is borg's, None where it is not known yet.

    Raise BorgctlError where a peer spelled out more than a record holds: padding must not hide the request.
    """
    excludes = [
        ("exclude", pattern) for pattern in runtime_files.excludes(command.paths, {n for n, _ in command.options})
    ]
    options = [*command.options, *excludes, *((name, None) for name in _presentation(command, version))]
    where = location(command.repository) + (f"::{command.archive}" if command.archive else "")
    words = [
        *(borg, command.command, "--log-json", f"--umask={_UMASK}", f"--lock-wait={_LOCK_WAIT}"),
        *(f"--{name}" if value is None else f"--{name}={value}" for name, value in options),
        *("--", where),
        *map(str, command.paths),
    ]
    if command.requested:
        _require_recordable(words)
    return words


def _require_recordable(words: list[str]) -> None:
    written = len(json.dumps(words))
    if written > _MOST_RECORDED:
        raise BorgctlError("request-too-long", f"its command line takes {written} characters of a record")
    for word in words:
        if len(json.dumps(word)) > _LONGEST_RECORDED:
            raise BorgctlError("request-too-long", f"{word[:60]!r}… has {len(word)} characters")


def location(repository: RepositoryPath) -> str:
    """Return a repository's location in borg's form."""
    return f"ssh://{HOST}{repository}"


def _presentation(command: BorgCommand, version: Version | None) -> list[str]:
    """Return the flags for output: JSON for programs, and where the server may not learn names."""
    chosen = {name for name, _ in command.options}
    structured = command.log == "json" or not command.disclosed
    flags = ["progress"] if command.log == "json" else []
    match command.command:
        case "create" | "prune" if command.dry or command.command == "prune":  # the gate counts the lines
            flags.append("list")
        case "create" if structured and not chosen & {"json", "stats"} and version and version.has_quick_stats:
            flags += ["json", "quick-stats"]
        case "create":
            flags.append("json" if structured or "json" in chosen else "stats")
        case "list" | "info" if structured and not (command.command == "list" and command.archive):
            flags.append("json")  # borg has no JSON of an archive's contents
    return [name for name in flags if name not in chosen]
