"""An audit log as a whole: the file that people name and its older parts, oldest first, line by line.

It does not read what is in the lines, and writes nothing.

    for line in lines(parts("/var/log/borgctl/audit.jsonl")): line.file, line.number, line.text
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from borgctl.audit import rotation
from borgctl.audit.chain import sequence
from borgctl.audit.head_file import LARGEST, HeadFile
from borgctl.errors import BadValue

_FIRST_LINES = 100  # a part whose first record comes later counts as one without records


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its newline; `first`: it is the first of its file; `whole`: it had a newline."""

    file: str
    number: int
    text: bytes
    whole: bool

    @property
    def first(self) -> bool:
        """Tell whether it is the first line of its file."""
        return self.number == 1


def parts(log: str) -> list[str]:
    """Return the paths of a log and its older parts, oldest first; raise BadValue where the log cannot be read."""
    directory, name = os.path.split(os.path.abspath(log))
    try:
        names = rotation.older(directory, name)[::-1]
        with rotation.reading(None, log):
            names.append(name)
    except FileNotFoundError:
        if not os.path.isdir(directory) or not names:
            raise BadValue(f"no audit log {log!r}") from None
    except OSError as error:
        raise BadValue(f"cannot read {log!r}: {error.strerror}") from None
    return ordered([f"{directory}/{part}" for part in names])


def ordered(paths: Sequence[str]) -> list[str]:
    """Return the paths in the order of their first records; a file without a record comes first.

    A part that is being compressed exists twice, and is taken once.
    """
    first = {path: _first(path) for path in paths}
    copies = [path for path in paths if first[path] == first.get(path.removesuffix(".gz")) and rotation.packed(path)]
    return sorted((path for path in paths if path not in copies), key=lambda path: first[path])


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


def head_file(log: str) -> HeadFile:
    """Return what the file beside a log (LOG.head) says; an empty one where it cannot be read."""
    try:
        with rotation.reading(None, f"{log}.head") as fd:
            return HeadFile.read(os.pread(fd, LARGEST, 0))
    except OSError:
        return HeadFile()


def snapshot(log: str) -> list[tuple[str, int]]:
    """Return a value that differs once a log was rotated: its parts and their inodes."""
    return [(path, os.stat(path).st_ino) for path in parts(log)]
