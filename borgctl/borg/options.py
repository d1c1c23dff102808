"""borg's words: the only ones that can reach borg, and what each value must look like.

Two circles. A *request* may use what has a `request` kind (and only if the policy lists it); a *job*, which the
client's own admin writes, may use what has a `job` kind. What runs commands, writes files of somebody's choice,
discloses keys or loosens borg's own checks is in neither, so it cannot be asked for. Sources: borg 1.4.5's and 1.2.4's
parsers.

    >>> COMMANDS["create"].options["compression"].request.check("zstd,3")
    'zstd,3'
"""

import re
from collections.abc import Iterable

from borgctl.data_class import dataclass
from borgctl.errors import BadValue


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must look like: a pattern for the whole text, a longest length, bounds for numbers."""

    expected: str
    pattern: str
    longest: int = 200
    low: int | None = None
    high: int | None = None

    def check(self, text: str) -> str:
        """Return `text` as it stands, or raise BadValue."""
        if len(text) > self.longest:
            raise BadValue(f"value of {len(text)} characters is too long (at most {self.longest})")
        if text == "--" or not re.fullmatch(self.pattern, text):  # argparse takes '--' for no value at all
            raise BadValue(f"bad value {text!r}: expected {self.expected}")
        if self.low is not None and self.high is not None and not self.low <= int(text) <= self.high:
            raise BadValue(f"bad value {text!r}: expected {self.expected}")
        return text


def _count(low: int, high: int) -> Kind:
    return Kind(f"a number from {low} to {high}", r"0|[1-9][0-9]{0,9}", 10, low, high)


def _word(*choices: str) -> Kind:
    return Kind(f"one of: {', '.join(choices)}", "|".join(re.escape(choice) for choice in choices))


_TEXT = r"[^\x00-\x1f\x7f-\x9f{}]"
FLAG = Kind("no value", "")
_COMPRESSION = Kind(
    "none, lz4, zstd[,1-12], zlib[,0-6], or auto, before one of them",
    r"(?:auto,)?(?:none|lz4|zstd(?:,(?:[1-9]|1[0-2]))?|zlib(?:,[0-6])?)",
)
_ANY_COMPRESSION = Kind(
    "none, lz4, zstd[,1-22], zlib[,0-9], lzma[,0-9], or auto, before one of them",
    r"(?:auto,)?(?:none|lz4|zstd(?:,(?:[1-9]|1[0-9]|2[0-2]))?|zlib(?:,[0-9])?|lzma(?:,[0-9])?)",
)
_COMMENT = Kind("up to 200 printable characters without braces", _TEXT + "{0,200}")
# fm:, sh:, pf: and pp: only: a regular expression can hang borg on one long name, and so can many stars
_EXCLUDE = Kind(
    "an exclude pattern of style fm:, sh:, pf: or pp:, at most 3 stars, not one that matches everything",
    rf"(?:(?:pp|pf|fm|sh):|(?!..:))(?!(?:[^*]*\*){{4}})(?!\s*\Z)(?!/?\**(?:/\**)*\Z){_TEXT}+",
    1000,
)
_OWN_EXCLUDE = Kind("a borg exclude pattern without braces", _TEXT + "+", 1000)
FILE = Kind("an absolute path without braces", rf"/{_TEXT}+", 4000)
_GLOB = Kind("an archive name, which may end in *", r"[A-Za-z0-9][A-Za-z0-9_.:+@=-]{0,99}\*?|\*")
# a job's glob and comment may hold the gate's own placeholders; judge expands them, then this is checked again
_SORT = Kind("timestamp, name or id, joined by commas", r"(?:timestamp|name|id)(?:,(?:timestamp|name|id)){0,2}")
_STATUS = Kind("status letters", r"[AMUCEdbchsfix?+-]{1,20}")
# a year below 1000 would make the repository unreadable to list, prune and check
_TIMESTAMP = Kind(
    "a time in UTC like 2026-11-23T04:05:06Z",
    r"20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
)
_WITHIN = Kind("a number and H, d, w, m or y", r"[1-9][0-9]{0,4}[Hdwmy]")
_TAG = Kind("a file name", r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
_CHUNKER = Kind(
    "default, or buzhash,MIN,MAX,MASK,WINDOW, or fixed,SIZE",
    r"default|buzhash,1[0-9],2[0-3],(?:1[4-9]|2[0-3]),4095|fixed,[1-9][0-9]{3,7}",
)
_FILES_CACHE = _word("ctime,size,inode", "ctime,size", "mtime,size,inode", "mtime,size", "rechunk,ctime", "disabled")
_KEEP = _count(1, 10000)
_OWN_KEEP = Kind("a number from 1 to 10000, or -1 for all", r"-1|[1-9][0-9]{0,4}", 5, -1, 10000)
_ENCRYPTED = _word("repokey", "repokey-blake2", "keyfile", "keyfile-blake2")
_ANY_ENCRYPTION = _word(
    "repokey", "repokey-blake2", "keyfile", "keyfile-blake2", "none", "authenticated", "authenticated-blake2"
)


@dataclass(frozen=True, slots=True)
class Option:
    """A long option: the kind of its value in a job and in a request (None: not in requests); FLAG takes no value."""

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

    `exclusive` holds sets of options that borg does not take together.
    """

    name: str
    options: dict[str, Option]
    archive: str
    paths: bool = False
    exclusive: tuple[frozenset[str], ...] = ()

    def conflict(self, names: Iterable[str]) -> str | None:
        """Return what is wrong with these options together, None where nothing is."""
        for group in self.exclusive:
            if group <= set(names):
                return f"{' and '.join(f'--{name}' for name in sorted(group))} exclude each other"
        return None


_TRANSFER = {"upload-ratelimit": _both(_count(64, 10_000_000)), "upload-buffer": _both(_count(0, 1024))}
_SELECTION = {
    "first": _both(_count(1, 1_000_000)),
    "last": _both(_count(1, 1_000_000)),
    "glob-archives": _both(_GLOB),
    "sort-by": _both(_SORT),
}
_FIRST_LAST = frozenset(("first", "last"))
_ARCHIVE_CHECKS = ("archives-only", "verify-data", "first", "last", "glob-archives")
_KEEPS = {
    f"keep-{rule}": Option(_OWN_KEEP, _KEEP)
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
                "checkpoint-interval": _both(_count(300, 86400)),
                "comment": _both(_COMMENT),
                "compression": Option(_ANY_COMPRESSION, _COMPRESSION),
                "exclude": Option(_OWN_EXCLUDE, _EXCLUDE, repeats=True),
                "filter": _both(_STATUS),
                "chunker-params": _job(_CHUNKER),
                "exclude-from": _job(FILE, repeats=True),
                "exclude-if-present": _job(_TAG, repeats=True),
                "files-cache": _job(_FILES_CACHE),
                "files-changed": _job(_word("ctime", "mtime"), since="1.4"),
                "keep-exclude-tags": _job(FLAG),
                "pattern": _job(_OWN_EXCLUDE, repeats=True),
                "patterns-from": _job(FILE, repeats=True),
                "read-special": _job(FLAG),
                "timestamp": _job(_TIMESTAMP),
            },
            "required",
            paths=True,
        ),
        Command(
            "list",
            _SELECTION
            | {name: _both(FLAG) for name in ("consider-checkpoints", "json", "json-lines", "short")}
            | {"exclude": Option(_OWN_EXCLUDE, _EXCLUDE, repeats=True)},
            "optional",
            exclusive=(_FIRST_LAST,),
        ),
        Command("info", _SELECTION | {"json": _both(FLAG)}, "optional", exclusive=(_FIRST_LAST,)),
        Command(
            "check",
            _SELECTION
            | {name: _both(FLAG) for name in ("archives-only", "repository-only")}
            | {"max-duration": _both(_count(60, 86400)), "verify-data": _job(FLAG)},
            "optional",
            exclusive=(_FIRST_LAST, *(frozenset(("repository-only", name)) for name in _ARCHIVE_CHECKS)),
        ),
        Command(
            "prune",
            _KEEPS
            | {name: _both(FLAG) for name in ("dry-run", "list", "stats")}
            | {
                "keep-13weekly": Option(_OWN_KEEP, _KEEP, since="1.4"),
                "keep-3monthly": Option(_OWN_KEEP, _KEEP, since="1.4"),
                "keep-within": _both(_WITHIN),
                "glob-archives": _both(_GLOB),
                "checkpoint-interval": _both(_count(300, 86400)),
            },
            "none",
            exclusive=(frozenset(("keep-13weekly", "keep-3monthly")), frozenset(("keep-last", "keep-secondly"))),
        ),
        Command("init", {"encryption": Option(_ANY_ENCRYPTION, _ENCRYPTED)}, "none"),
    )
}

# Variables that a policy may accept from a server or set itself, and what each value must look like.
ACCEPTABLE = {
    "BORG_FILES_CACHE_TTL": _count(1, 10000),
    "BORG_USE_CHUNKS_ARCHIVE": _word("yes", "no"),
    "COLUMNS": _count(20, 500),
    "LINES": _count(5, 500),
}
SETTABLE = ACCEPTABLE | {
    "BORG_FILES_CACHE_SUFFIX": Kind("letters, digits, '_' and '-'", r"[A-Za-z0-9_-]{1,64}"),
    "BORG_HOSTNAME": Kind("a host name", r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}"),
    "BORG_HOST_ID": Kind("a host's identity", r"[A-Za-z0-9][A-Za-z0-9.@:-]{0,99}"),
    "BORG_USERNAME": Kind("a user name", r"[a-z_][a-z0-9_-]{0,31}"),
    "LANG": _word("C.UTF-8", "en_US.UTF-8"),
    "TZ": Kind("UTC or Area/City", r"UTC|[A-Z][A-Za-z_]+/[A-Z][A-Za-z_+-]+(?:/[A-Z][A-Za-z_]+)?", 64),
}
