"""Common line: the command lines that timers and people type most, read without typer, which takes longer than they do.

Only the forms of `read` are read here, and exactly as typer reads them. It returns None for every other line, also for
each with a mistake, and for one that a shell wants completed: those are typer's (`command_line`).

    >>> read(["--config-dir", "/c", "run", "web1", "--job", "prune"], {})[:6]
    ('/c', None, ['web1'], False, ['prune'], False)
    >>> read(["status", "--help"], {}) is read(["run", "--jbo", "x"], {}) is None
    True
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_FOLDERS = ("--config-dir", "--state-dir")
_RUN = ("--all", "--json", "--due")
_RUN_VALUES = ("--parallel", "--within", "--retries", "--log-format")
_STATUS = ("--all", "--json", "--nagios")


class Version(NamedTuple):
    """`borgpull --version`."""


class Run(NamedTuple):
    """`borgpull run`; what the line does not name is None or empty."""

    config_dir: str | None
    state_dir: str | None
    targets: list[str]
    all: bool
    jobs: list[str]
    as_json: bool
    due: bool = False
    parallel: str | None = None
    within: str | None = None
    retries: str | None = None
    log_format: str | None = None


class Status(NamedTuple):
    """`borgpull status`."""

    config_dir: str | None
    state_dir: str | None
    targets: list[str]
    all: bool
    as_json: bool
    as_nagios: bool


class _Words:
    """The words of a part of the line, as typer tells them apart."""

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}


def read(words: Sequence[str], environment: Mapping[str, str]) -> Version | Run | Status | None:
    """Return what a line of a common form says, else None."""
    if any(name.endswith("_COMPLETE") for name in environment) or not all(map(str.isascii, words)):
        return None
    if list(words) == ["--version"]:
        return Version()
    left = iter(words)
    before = _take(left, _FOLDERS, (), most=1)
    if before is None or not before.plain:
        return None
    config_dir, state_dir = (before.values.get(name, [None])[-1] for name in _FOLDERS)
    match before.plain:
        case ["run"] if behind := _take(left, ("--job", *_RUN_VALUES), _RUN):
            all_targets, as_json, due = (flag in behind.flags for flag in _RUN)
            values = (behind.values.get(name, [None])[-1] for name in _RUN_VALUES)
            jobs = behind.values.get("--job", [])
            return Run(config_dir, state_dir, behind.plain, all_targets, jobs, as_json, due, *values)
        case ["status"] if behind := _take(left, (), _STATUS):
            return Status(config_dir, state_dir, behind.plain, *(flag in behind.flags for flag in _STATUS))
    return None


def _take(left: Iterable[str], valued: Sequence[str], flags: Sequence[str], most: int | None = None) -> _Words | None:
    """Take words until there are no more, or `most` plain ones; None where a word is of no common form."""
    found, words = _Words(), iter(left)
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            found.plain.append(word)
            if len(found.plain) == most:
                break
        elif word in flags:
            found.flags.add(word)
        elif name in valued:
            value = value if equals else next(words, "")
            if not value or value.startswith("-"):
                return None
            found.values.setdefault(name, []).append(value)
        else:
            return None
    return found
