"""An audit log as a whole: the file that people name and its older parts, oldest first, line by line.

What is in the lines is for others to judge; nothing is written.

    for line in lines(parts("/var/log/borgctl/audit.jsonl")): line.file, line.number, line.text
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from borgctl.audit import rotation
from borgctl.audit.chain import sequence
from borgctl.audit.head_file import LARGEST, HeadFile
from borgctl.errors import BadValue

_FIRST_LINES = 100  # a part whose first record comes later counts as one without


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its newline; `first`: it begins its file; `whole`: it had a newline."""

    file: str
    number: int
    text: bytes
    whole: bool

    @property
    def first(self) -> bool:
        """Whether nothing stands before it in its file."""
        return self.number == 1


def parts(log: str) -> list[str]:
    """Return the paths of a log and its older parts, oldest first; raise BadValue where the log cannot be read."""
    directory, name = os.path.split(os.path.abspath(log))
    try:
        found = rotation.older(directory, name)[::-1]
        with rotation.reading(None, log):
            found.append(name)
    except FileNotFoundError:
        if not os.path.isdir(directory) or not found:
            raise BadValue(f"no audit log {log!r}") from None
    except OSError as error:
        raise BadValue(f"cannot read {log!r}: {error.strerror}") from None
    return ordered([f"{directory}/{part}" for part in found])


def ordered(paths: Sequence[str]) -> list[str]:
    """Return the paths in the order of their first records; what has none comes first.

    A part that is being compressed is there twice, and taken once.
    """
    first = {path: _first(path) for path in paths}
    twice = [path for path in paths if first[path] == first.get(path.removesuffix(".gz")) and rotation.packed(path)]
    return sorted((path for path in paths if path not in twice), key=lambda path: first[path])


def _first(path: str) -> int:
    for line in lines([path]):
        number = sequence(line.text)
        if number is not None or line.number >= _FIRST_LINES:
            return number or 0
    return 0


def lines(paths: Sequence[str]) -> Iterator[Line]:
    """Yield the lines of these files; raise BadValue where one cannot be read to its end."""
    for path in paths:
        try:
            with rotation.reading(None, path) as fd:
                for number, line in enumerate(rotation.forwards(fd, packed=rotation.packed(path)), 1):
                    yield Line(path, number, line.removesuffix(b"\n"), line.endswith(b"\n"))
        except OSError as error:
            raise BadValue(f"cannot read {path!r}: {error.strerror}") from None


def tally(log: str) -> HeadFile:
    """Return what stands beside a log; an empty tally where it cannot be read."""
    try:
        with rotation.reading(None, f"{log}.head") as fd:
            return HeadFile.read(os.pread(fd, LARGEST, 0))
    except OSError:
        return HeadFile()


def snapshot(log: str) -> list[tuple[str, int]]:
    """Return what changes when a log is rotated."""
    return [(path, os.stat(path).st_ino) for path in parts(log)]
