"""borg's subcommands and options: the only ones that can reach borg.

A *request* may use an option that has a `request` kind, if the policy lists it. A *job*, which the client's own admin
writes, may use an option with a `job` kind. What runs commands, writes files of somebody's choice, discloses keys or
loosens borg's own checks is in neither list, so nobody can ask for it. This module does not know any policy. Sources:
borg 1.4.5's and 1.2.4's parsers.

    >>> COMMANDS["create"].options["compression"].request.check("zstd,3")
    'zstd,3'
"""

from collections.abc import Iterable

from borgctl.borg.value_kinds import (
    ANY_COMPRESSION,
    ANY_ENCRYPTION,
    CHUNKER,
    COMMENT,
    COMPRESSION,
    ENCRYPTED,
    EXCLUDE,
    FILE,
    FILES_CACHE,
    FLAG,
    GLOB,
    KEEP,
    OWN_EXCLUDE,
    OWN_KEEP,
    SORT,
    STATUS,
    TAG,
    TIMESTAMP,
    WITHIN,
    Kind,
    count,
    word,
)
from borgctl.data_class import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A long option: the kind of its value in a job and in a request (None: not in requests); FLAG has no value."""

    job: Kind
    request: Kind | None
    repeats: bool = False
    since: str = "1.2"

    @property
    def takes_value(self) -> bool:
        return self.job is not FLAG


def _both(kind: Kind, *, repeats: bool = False, since: str = "1.2") -> Option:
    return Option(kind, kind, repeats, since)


def _job(kind: Kind, *, repeats: bool = False, since: str = "1.2") -> Option:
    return Option(kind, None, repeats, since)


@dataclass(frozen=True, slots=True)
class Command:
    """A borg subcommand: its options, whether it takes an archive ('required', 'optional', 'none') and paths.

    `exclusive`: sets of options that borg does not take together.
    """

    name: str
    options: dict[str, Option]
    archive: str
    paths: bool = False
    exclusive: tuple[frozenset[str], ...] = ()

    def conflict(self, names: Iterable[str]) -> str | None:
        """Return why borg does not take these options together, None where it does."""
        for group in self.exclusive:
            if group <= set(names):
                return f"{' and '.join(f'--{name}' for name in sorted(group))} exclude each other"
        return None


_TRANSFER = {"upload-ratelimit": _both(count(64, 10_000_000)), "upload-buffer": _both(count(0, 1024))}
_SELECTION = {
    "first": _both(count(1, 1_000_000)),
    "last": _both(count(1, 1_000_000)),
    "glob-archives": _both(GLOB),
    "sort-by": _both(SORT),
}
_FIRST_LAST = frozenset(("first", "last"))
_ARCHIVE_CHECKS = ("archives-only", "verify-data", "first", "last", "glob-archives")
_KEEPS = {
    f"keep-{rule}": Option(OWN_KEEP, KEEP)
    for rule in ("last", "secondly", "minutely", "hourly", "daily", "weekly", "monthly", "yearly")
}
_FLAGS_OF_CREATE = (
    "atime dry-run exclude-caches exclude-nodump json list no-cache-sync noacls nobirthtime noctime noflags noxattrs "
    "numeric-ids one-file-system sparse stats"
)

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "create",
            _TRANSFER
            | {name: _both(FLAG) for name in _FLAGS_OF_CREATE.split()}
            | {
                "checkpoint-interval": _both(count(300, 86400)),
                "comment": _both(COMMENT),
                "compression": Option(ANY_COMPRESSION, COMPRESSION),
                "exclude": Option(OWN_EXCLUDE, EXCLUDE, repeats=True),
                "filter": _both(STATUS),
                "chunker-params": _job(CHUNKER),
                "exclude-from": _job(FILE, repeats=True),
                "exclude-if-present": _job(TAG, repeats=True),
                "files-cache": _job(FILES_CACHE),
                "files-changed": _job(word("ctime", "mtime"), since="1.4"),
                "keep-exclude-tags": _job(FLAG),
                "pattern": _job(OWN_EXCLUDE, repeats=True),
                "patterns-from": _job(FILE, repeats=True),
                "read-special": _job(FLAG),
                "timestamp": _job(TIMESTAMP),
            },
            "required",
            paths=True,
        ),
        Command(
            "list",
            _SELECTION
            | {name: _both(FLAG) for name in ("consider-checkpoints", "json", "json-lines", "short")}
            | {"exclude": Option(OWN_EXCLUDE, EXCLUDE, repeats=True)},
            "optional",
            exclusive=(_FIRST_LAST,),
        ),
        Command("info", _SELECTION | {"json": _both(FLAG)}, "optional", exclusive=(_FIRST_LAST,)),
        Command(
            "check",
            _SELECTION
            | {name: _both(FLAG) for name in ("archives-only", "repository-only")}
            | {"max-duration": _both(count(60, 86400)), "verify-data": _job(FLAG)},
            "optional",
            exclusive=(_FIRST_LAST, *(frozenset(("repository-only", name)) for name in _ARCHIVE_CHECKS)),
        ),
        Command(
            "prune",
            _KEEPS
            | {name: _both(FLAG) for name in ("dry-run", "list", "stats")}
            | {
                "keep-13weekly": Option(OWN_KEEP, KEEP, since="1.4"),
                "keep-3monthly": Option(OWN_KEEP, KEEP, since="1.4"),
                "keep-within": _both(WITHIN),
                "glob-archives": _both(GLOB),
                "checkpoint-interval": _both(count(300, 86400)),
            },
            "none",
            exclusive=(frozenset(("keep-13weekly", "keep-3monthly")), frozenset(("keep-last", "keep-secondly"))),
        ),
        Command("init", {"encryption": Option(ANY_ENCRYPTION, ENCRYPTED)}, "none"),
    )
}
