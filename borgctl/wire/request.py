"""What a server may request, as typed values, and written out as one line.

    hello [OPTION…] | run JOB [OPTION…] | borg [OPTION…] SUBCOMMAND [WORD…] | window [--for=30m] [OPTION…]
    OPTION: --repository=/abs/path --socket=/abs/path --log=text|json --seen=SEQUENCE:HEAD

It does not know whether a request is allowed (`judge`), nor how a line is read (`request_parser`).

    >>> render(Request(Run(JobName("default")), RunOptions(log="json")))
    'run default --log=json'
"""

import shlex
from typing import assert_never

from borgctl.data_class import dataclass
from borgctl.values import ArchiveName, Head, JobName, RepositoryPath, SocketPath, SourcePath


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of the run, not of borg."""

    repository: RepositoryPath | None = None
    socket: SocketPath | None = None
    log: str = "text"
    seen: Head | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """Ask what the policy offers."""


@dataclass(frozen=True, slots=True)
class Run:
    """A job that the policy defines."""

    job: JobName


@dataclass(frozen=True, slots=True)
class Borg:
    """A borg subcommand spelled out; option values are checked as requests may have them, None for a flag."""

    command: str
    options: tuple[tuple[str, str | None], ...] = ()
    archive: ArchiveName | None = None
    paths: tuple[SourcePath, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A restore window of `seconds` for one command of the client's own admin; None: as long as the policy allows."""

    seconds: int | None = None


Order = Hello | Run | Borg | Window


@dataclass(frozen=True, slots=True)
class Request:
    """A server's request: an order, and the options of its run."""

    order: Order
    options: RunOptions = RunOptions()


def render(request: Request) -> str:
    """Write a request as one line; `request_parser.parse` reads it back to an equal value."""
    plain = RunOptions()
    options = [
        f"--{name}={value}"
        for name in RunOptions.__match_args__
        if (value := getattr(request.options, name)) not in (None, getattr(plain, name))
    ]
    match request.order:
        case Hello():
            words = ["hello", *options]
        case Window(seconds):
            words = ["window", *([] if seconds is None else [f"--for={seconds}s"]), *options]
        case Run(job):
            words = ["run", str(job), *options]
        case Borg(command, chosen, archive, paths):
            own = [f"--{name}" if value is None else f"--{name}={value}" for name, value in chosen]
            location = [f"::{archive}"] if archive else []
            words = ["borg", *options, command, *own, "--", *location, *map(str, paths)]
        case _:
            assert_never(request.order)
    return shlex.join(words)
