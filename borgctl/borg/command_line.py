"""borg's argv, built from nothing.

The order of words is always the same: subcommand, our own options, the launch's, what the gate leaves out of a whole
machine and how it wants to be told, `--`, location, paths. It does not know where the values came from: they are of
types that cannot hold anything else.

    build(launch, "/usr/bin/borg")
    == ["/usr/bin/borg", "create", "--log-json", …, "--", "ssh://borgctl/srv/borg/web1::a", "/etc"]
"""

import json

from borgctl.borg.command import BorgCommand
from borgctl.errors import BorgctlError
from borgctl.fs import runtime_files
from borgctl.values import RepositoryPath

# One host word for every transport: borg remembers locations, and another one would look like a moved repository.
HOST = "borgctl"
_LOCK_WAIT = 120  # seconds; the run lock keeps other gates out, so only a server's own compact is waited for
_UMASK = "0077"
# What a peer may spell out, as JSON: so much fits into a record whole, with room for the rest of it
_MOST_RECORDED = 8 * 1024
_LONGEST_RECORDED = 1024


def build(launch: BorgCommand, borg: str) -> list[str]:
    """Return borg's argv for a launch.

    Raise BorgctlError where a peer spelled out more than its record would hold: padding must not hide what was asked.
    """
    besides = [("exclude", pattern) for pattern in runtime_files.excludes(launch.paths, {n for n, _ in launch.options})]
    options = [*launch.options, *besides, *((name, None) for name in _presentation(launch))]
    where = location(launch.repository) + (f"::{launch.archive}" if launch.archive else "")
    words = [
        *(borg, launch.command, "--log-json", f"--umask={_UMASK}", f"--lock-wait={_LOCK_WAIT}"),
        *(f"--{name}" if value is None else f"--{name}={value}" for name, value in options),
        *("--", where),
        *map(str, launch.paths),
    ]
    if launch.requested:
        _require_recordable(words)
    return words


def _require_recordable(words: list[str]) -> None:
    written = len(json.dumps(words))
    if written > _MOST_RECORDED:
        raise BorgctlError("request-too-long", f"what it asks for takes {written} characters of a record")
    for word in words:
        if len(json.dumps(word)) > _LONGEST_RECORDED:
            raise BorgctlError("request-too-long", f"{word[:60]!r}… has {len(word)} characters")


def location(repository: RepositoryPath) -> str:
    """Return a repository's location as borg knows it."""
    return f"ssh://{HOST}{repository}"


def _presentation(launch: BorgCommand) -> list[str]:
    """Return the flags that show the server what it may see: JSON for programs, and where names stay here."""
    chosen = {name for name, _ in launch.options}
    structured = launch.log == "json" or not launch.disclosed
    progress = ["progress"] if launch.log == "json" else []
    match launch.command:
        case "create" | "prune" if launch.dry or launch.command == "prune":  # the gate counts what is listed
            wanted = "list"
        case "create":
            wanted = "json" if structured or "json" in chosen else "stats"
        case "list" | "info" if structured and not (launch.command == "list" and launch.archive):
            wanted = "json"  # of an archive's contents borg has none
        case _:
            return progress
    return progress if wanted in chosen else [*progress, wanted]
