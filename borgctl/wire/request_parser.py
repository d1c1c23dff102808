"""Parse a server's request: the one line of SSH_ORIGINAL_COMMAND, or the published scripts' variables.

Printable ASCII, at most 16 KiB and 128 words, split the POSIX way, never by a shell. `parse` is total: it returns a
request or raises BorgctlError with a reason of status 76. It knows no policy: `judge` knows what is allowed.

    >>> parse(b"run default --log=json") == Request(Run(JobName("default")), RunOptions(log="json"))
    True
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from borgctl.borg.subcommands import COMMANDS, Command
from borgctl.errors import BadValue, BorgctlError
from borgctl.values import ArchiveName, Head, JobName, RepositoryPath, SocketPath, SourcePath, choice, duration
from borgctl.wire.request import Borg, Hello, Order, Request, Run, RunOptions, Window

LARGEST = 16 * 1024
MOST_WORDS = 128
# The variables that the published scripts send with SendEnv; read only where a policy says 'published: yes'.
CARRIERS = {"BORG_REPOPATH": "repository", "BORG_SOCKET": "socket"}

T = TypeVar("T")
_PIECE = r"[A-Za-z0-9@%+=:,./_-]|'[^']*'|\"'\""
_WORD = re.compile(rf"(?:{_PIECE})+")
_READERS: dict[str, Callable[[str], Any]] = {
    "repository": RepositoryPath,
    "socket": SocketPath,
    "log": lambda text: choice(text, ("text", "json")),
    "seen": Head.read,
}


def parse(command: bytes | None, carriers: Mapping[str, str] | None = None) -> Request:
    """Parse SSH_ORIGINAL_COMMAND (None where it is not set); `carriers` holds BORG_SOCKET and BORG_REPOPATH.

    `carriers` is None unless the policy says 'published: yes'; then an empty command requests the job 'default'.
    """
    words = split(command or b"")
    if not words and carriers is not None:
        words = ["run", "default"]
    if not words:
        raise BorgctlError("empty-request", "the request is empty")
    order, options = _order(words[0], iter(words[1:]))
    for variable, name in CARRIERS.items():
        if text := (carriers or {}).get(variable, ""):
            _option(options, f"--{name}={text}")
    return Request(order, RunOptions(**options))


def split(command: bytes) -> list[str]:
    """Split a command line into words, with quotes only as Python's shlex.quote writes them."""
    if len(command) > LARGEST:
        raise BorgctlError("request-too-long", f"the request has {len(command)} bytes")
    if not re.fullmatch(rb"[\x20-\x7e]*", command):
        raise BorgctlError("not-printable", "the request has bytes that are not printable ASCII")
    text = command.decode("ascii").strip(" ")
    words = []
    while text:
        match = _WORD.match(text)
        if not match or text[match.end() : match.end() + 1] not in ("", " "):
            raise BorgctlError("bad-quoting", f"special characters outside single quotes near {text[:40]!r}")
        words.append("".join(re.sub(r"\A['\"]|['\"]\Z", "", piece) for piece in re.findall(_PIECE, match[0])))
        text = text[match.end() :].lstrip(" ")
    if len(words) > MOST_WORDS:
        raise BorgctlError("request-too-long", f"the request has {len(words)} words")
    return words


def announced_socket(command: bytes | None, carriers: Mapping[str, str] | None = None) -> SocketPath | None:
    """Return the socket that a request names, also where the rest of it does not parse; never raise.

    The gate removes that name before anything else, so that no refusal leaves it behind.
    """
    try:
        words = [word.removeprefix("--socket=") for word in split(command or b"") if word.startswith("--socket=")]
    except BorgctlError:
        words = []
    for text in (*words, (carriers or {}).get("BORG_SOCKET", "")):
        with contextlib.suppress(BadValue):
            return SocketPath(text)
    return None


def _order(verb: str, words: Iterator[str]) -> tuple[Order, dict[str, Any]]:
    match verb:
        case "hello":
            return Hello(), _options(words)
        case "window":
            return _window_order(list(words))
        case "run":
            job = next(words, None)
            if job is None:
                raise BorgctlError("bad-words", "'run' needs a job's name")
            return Run(_value(JobName, job)), _options(words)
        case "borg":
            return _borg_order(words)
        case _:
            raise BorgctlError("unknown-verb", f"unknown verb {verb!r}")


def _window_order(words: list[str]) -> tuple[Window, dict[str, Any]]:
    """Parse the options, with --for= at most once."""
    times = [word.removeprefix("--for=") for word in words if word.startswith("--for=")]
    options = _options(iter([word for word in words if not word.startswith("--for=")]))
    if len(times) > 1:
        raise BorgctlError("conflicting-values", "--for is given twice")
    return Window(_value(duration, times[0]) if times else None), options


def _value(reader: Callable[[str], T], text: str) -> T:
    try:
        return reader(text)
    except BadValue as error:
        raise BorgctlError("bad-value", str(error)) from None


def _options(words: Iterator[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for word in words:
        _option(options, word)
    return options


def _option(options: dict[str, Any], word: str) -> None:
    """Add one option; refuse a second, different value, as nobody knows which one was meant."""
    name, equals, text = word.removeprefix("--").partition("=")
    if not word.startswith("--") or not equals or name not in _READERS:
        raise BorgctlError(
            "unknown-option", f"unknown option {word!r} (expected --repository=, --socket=, --log=, --seen=)"
        )
    value = _value(_READERS[name], text)
    if options.setdefault(name, value) != value:
        raise BorgctlError("conflicting-values", f"--{name} is given two values")


def _borg_order(words: Iterator[str]) -> tuple[Borg, dict[str, Any]]:
    options: dict[str, Any] = {}
    for word in words:
        if word.startswith("-"):
            _option(options, word)
            continue
        if word not in COMMANDS:
            raise BorgctlError("unknown-command", f"{word!r} is not a subcommand that a request can name")
        return _borg(COMMANDS[word], words), options
    raise BorgctlError("bad-words", "'borg' needs a subcommand")


def _borg(command: Command, words: Iterator[str]) -> Borg:
    """Parse borg's options and operands in any order; all words after '--' are operands."""
    chosen: list[tuple[str, str | None]] = []
    operands: list[str] = []
    for word in words:
        if word == "--":
            operands.extend(words)
        elif word.startswith("-"):
            chosen.append(_borg_option(command, word, words))
        else:
            operands.append(word)
    names = [name for name, _ in chosen if not command.options[name].repeats]
    if len(names) != len(set(names)):
        raise BorgctlError("bad-words", "an option is given twice")
    if conflict := command.conflict(names):
        raise BorgctlError("bad-words", conflict)
    archive, paths = _operands(command, operands)
    return Borg(command.name, tuple(chosen), archive, paths)


def _borg_option(command: Command, word: str, words: Iterator[str]) -> tuple[str, str | None]:
    name, equals, text = word.removeprefix("--").partition("=")
    option = command.options.get(name)
    if not word.startswith("--") or option is None or option.request is None:
        raise BorgctlError("unknown-option", f"{word!r} is not an option that a request can give to {command.name!r}")
    if not option.takes_value:
        if equals:
            raise BorgctlError("bad-value", f"--{name} takes no value")
        return name, None
    value = text if equals else next(words, None)
    if value is None:
        raise BorgctlError("bad-value", f"--{name} needs a value")
    return name, _value(option.request.check, value)


def _operands(command: Command, operands: list[str]) -> tuple[ArchiveName | None, tuple[SourcePath, ...]]:
    archive = None
    if operands and operands[0].startswith("::"):
        if command.archive == "none":
            raise BorgctlError("bad-words", f"{command.name!r} takes no archive")
        archive = _value(ArchiveName, operands.pop(0)[2:])
    if archive is None and command.archive == "required":
        raise BorgctlError("bad-words", f"{command.name!r} needs an archive, written ::NAME, before its paths")
    if operands and not command.paths:
        raise BorgctlError("bad-words", f"{command.name!r} takes no operand like {operands[0]!r}")
    if command.paths and not operands:
        raise BorgctlError("bad-words", f"{command.name!r} needs a path")
    return archive, tuple(_value(SourcePath, operand) for operand in operands)
