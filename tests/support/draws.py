"""Drawn by hypothesis: requests that the wire can carry, values that policies admit; and, faster, launches."""

import random

from hypothesis import assume, settings
from hypothesis import strategies as st

from borgctl.borg.command import BorgCommand
from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FLAG, Kind
from borgctl.errors import BadValue
from borgctl.values import ArchiveName, Head, JobName, RepositoryPath, SocketPath, SourcePath
from borgctl.wire.request import Borg, Hello, Request, Run, RunOptions, Window, render
from borgctl.wire.request_parser import LARGEST, MOST_WORDS, split

# For what takes long to draw
FEWER = settings(max_examples=40)

_HARMLESS = "abcXYZ019"
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
# One value at least that each kind admits; which of them it does, the kind itself says.
_CANDIDATES = (
    *("none", "lz4", "zstd", "zstd,12", "zstd,22", "zlib,6", "lzma,9", "auto,zstd,3", "auto,lz4"),
    *("*.tmp", "pp:/etc/ssl", "sh:**/x", "fm:*/.cache/*", "pf:/etc/shadow", "-x", "--rsh=/bin/sh", "re:^x", "R /etc"),
    *("+ pp:/etc", "- *.o", "! sh:/x", "P fm", "::a", "@file", "'", '"', "a b", "", " x", "=", "--"),
    *("/etc/borgctl/patterns", "/x y", "*", "web1-*", "web1-2026.a:b+c@d=e", "a"),
    *("timestamp", "name,id", "id,timestamp,name", "AME", "-", "dbsfix?+", "1H", "7d", "99999y"),
    *(".nobackup", "CACHEDIR.TAG", "-tag", "default", "buzhash,10,23,16,4095", "buzhash,19,23,21,4095", "fixed,4096"),
    *("ctime,size,inode", "ctime,size", "mtime,size,inode", "mtime,size", "rechunk,ctime", "disabled"),
    "2026-11-23T04:05:06Z",
    *("ctime", "mtime", "repokey", "repokey-blake2", "keyfile", "keyfile-blake2", "authenticated"),
    *("authenticated-blake2", "fixed,10485760", "buzhash,10,20,14,4095"),
)


def admitted(kind: Kind, text: str) -> bool:
    """Tell whether a kind admits a text."""
    try:
        kind.check(text)
    except BadValue:
        return False
    return True


def known(kind: Kind) -> list[str]:
    """Return some values of a kind."""
    if kind.low is not None:
        return [text for at in (kind.low, (kind.low + kind.high) // 2, kind.high) if admitted(kind, text := str(at))]
    return [text for text in _CANDIDATES if admitted(kind, text)]


def values(kind: Kind) -> st.SearchStrategy[str]:
    """Draw values of a kind: its bounds, known ones, and texts that happen to be admitted."""
    if kind.low is not None:
        numbers = st.sampled_from((kind.low, kind.high)) | st.integers(kind.low, kind.high)
        return numbers.map(str).filter(lambda text: admitted(kind, text))
    some = st.sampled_from(known(kind))
    if admitted(kind, "x y=z"):
        return some | st.text(_PRINTABLE, min_size=1, max_size=30).filter(lambda text: admitted(kind, text))
    return some


def _paths(kind: type, letters: str) -> st.SearchStrategy:
    parts = st.text(letters, min_size=1, max_size=12).filter(lambda part: part not in (".", ".."))
    first = parts.filter(lambda part: part not in ("proc", "sys", "dev"))
    return st.tuples(first, st.lists(parts, max_size=4)).map(lambda t: kind("/" + "/".join((t[0], *t[1]))))


REPOSITORIES = _paths(RepositoryPath, "aZ09_.+@=-")
SOURCES = _paths(SourcePath, _PRINTABLE.translate(dict.fromkeys(map(ord, "/{}"))))
ARCHIVES = st.builds(
    lambda first, rest: f"{first}{rest}", st.sampled_from(_HARMLESS), st.text("aZ0_.:+@=-", max_size=30)
).filter(lambda text: "::" not in text and ".checkpoint" not in text)
SEEN = st.builds(Head, st.integers(0, 10**15 - 1), st.text("0123456789abcdef", min_size=64, max_size=64))
OPTIONS = st.builds(
    RunOptions,
    st.none() | REPOSITORIES,
    st.none() | _paths(SocketPath, "aZ09_.+@=-"),
    st.sampled_from(("text", "json")),
    st.none() | SEEN,
)


def together(command: str, names: list[str]) -> list[str]:
    """Return the names without those that exclude one before them."""
    kept: list[str] = []
    for name in names:
        kept += [] if COMMANDS[command].conflict([*kept, name]) else [name]
    return kept


@st.composite
def chosen(draw: st.DrawFn, command: str, circle: str = "request") -> tuple[tuple[str, str | None], ...]:
    """Draw options of a command from the circle 'request' or 'job', repeated only where they may be."""
    kinds = {name: getattr(option, circle) for name, option in COMMANDS[command].options.items()}
    names = draw(st.lists(st.sampled_from([name for name, kind in kinds.items() if kind]), max_size=6))
    once = [name for at, name in enumerate(names) if COMMANDS[command].options[name].repeats or name not in names[:at]]
    names = together(command, once)
    return tuple((name, None if kinds[name] is FLAG else draw(values(kinds[name]))) for name in names)


@st.composite
def orders(draw: st.DrawFn) -> Borg:
    """Draw a spelled-out borg order."""
    command = COMMANDS[draw(st.sampled_from(sorted(COMMANDS)))]
    archives = ARCHIVES.map(ArchiveName)
    archive = {"required": archives, "optional": st.none() | archives, "none": st.none()}[command.archive]
    paths = st.lists(SOURCES, min_size=1, max_size=4).map(tuple) if command.paths else st.just(())
    return Borg(command.name, draw(chosen(command.name)), draw(archive), draw(paths))


@st.composite
def asked(draw: st.DrawFn) -> Request:
    """Draw a request that fits on the wire."""
    names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True).map(JobName)
    windows = st.builds(Window, st.none() | st.integers(1, 366 * 86400))
    order = draw(st.just(Hello()) | windows | st.builds(Run, names) | orders())
    request = Request(order, draw(OPTIONS))
    line = render(request).encode()
    assume(len(line) <= LARGEST and len(split(line)) <= MOST_WORDS)
    return request


def _text(dice: random.Random, letters: str, longest: int) -> str:
    return "".join(dice.choices(letters, k=dice.randint(1, longest)))


def _path(dice: random.Random, letters: str) -> str:
    parts = [_text(dice, letters, 12) for _ in range(dice.randint(1, 4))]
    return "/" + "/".join("x" if part in (".", "..", "proc", "sys", "dev") else part for part in parts)


def launch(dice: random.Random) -> BorgCommand:
    """Return a launch as `judge` might build it, with the options of a job or of a request."""
    command = COMMANDS[dice.choice(sorted(COMMANDS))]
    circle = dice.choice(("job", "request"))
    kinds = {name: getattr(option, circle) for name, option in command.options.items() if getattr(option, circle)}
    names = dice.sample(sorted(kinds), min(len(kinds), dice.randint(0, 6)))
    names = sorted({*names, "encryption"}) if command.name == "init" else names
    names = together(command.name, names)
    names += [name for name in names if command.options[name].repeats and dice.random() < 0.5]
    options = tuple((name, None if kinds[name] is FLAG else dice.choice(known(kinds[name]))) for name in names)
    archive = command.archive == "required" or (command.archive == "optional" and dice.random() < 0.5)
    name = "a" + _text(dice, "aZ0_.+@=-:", 30).replace("::", ":").rstrip(":")
    paths = [SourcePath(_path(dice, _PRINTABLE.translate(dict.fromkeys(map(ord, "/{}"))))) for _ in range(3)]
    return BorgCommand(
        rule="/p.yaml:1",
        command=command.name,
        options=options,
        repository=RepositoryPath(_path(dice, "aZ09_.+@=-")),
        transport="stdio",
        log=dice.choice(("text", "json")),
        disclosed=dice.choice((True, False)),
        archive=ArchiveName(name.replace("::", ":")) if archive else None,
        paths=tuple(paths[: dice.randint(1, 3)]) if command.paths else (),
    )
