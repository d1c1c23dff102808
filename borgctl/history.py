"""What an audit log and its older parts hold: the last record of all, and whether a certain record is still there.

The work is bounded, as a peer may cause it again and again. Reads only; nothing is proved (`chain`, `borgctl audit
verify`).

    holds(directory, "audit.jsonl", Head.read("7:0a…"))
"""

import os
from collections.abc import Iterator

from borgctl.chain import digest, link, sequence
from borgctl.rotated import LONGEST, backwards, forwards, older, packed, reading
from borgctl.values import Head

_MOST = 64 * 1024 * 1024  # bytes that are looked through, unpacked
_MOST_PARTS = 32


def ending(fd: int) -> tuple[bytes | None, Head | None]:
    """Return a file's last line, and its last record; None where there is none. Raise OSError for an endless line."""
    last, size = None, os.fstat(fd).st_size
    for line in backwards(fd, 2 * LONGEST):
        last = line if last is None else last
        if (found := link(line)) is not None:
            return last, Head(found.sequence, digest(line))
    if size and last is None:
        raise OSError(0, f"its last line has more than {LONGEST} bytes")
    return last, None


def newest(directory: int, name: str) -> Head | None:
    """Return the last record of the newest older part that has one."""
    for part in older(directory, name)[:_MOST_PARTS]:
        try:
            with reading(directory, part) as fd:
                found = _packed_ending(fd) if packed(part) else ending(fd)[1]
        except OSError:
            continue
        if found is not None:
            return found
    return None


def _packed_ending(fd: int) -> Head | None:
    """Return the last record of a compressed part, None where it is too long to be unpacked here."""
    last, left = None, _MOST
    for line in forwards(fd, packed=True, most=_MOST):
        left -= len(line)
        last = line[:-1] if sequence(line) is not None and line.endswith(b"\n") else last
    found = link(last) if last is not None and left > 0 else None
    return Head(found.sequence, digest(last)) if found and last is not None else None


def holds(directory: int, name: str, head: Head) -> bool | None:
    """Tell whether exactly this record is still in the log or an older part; None where that takes too long to find.

    Numbers only grow from line to line, so the first one that is not greater decides.
    """
    left = _MOST
    for part in _parts(directory, name):
        try:
            with reading(directory, part) as fd:
                found, left = (_packed if packed(part) else _plain)(fd, head, left)
        except OSError:
            continue
        if found is not None:
            return found
        if left <= 0:
            return None
    return False


def _parts(directory: int, name: str) -> Iterator[str]:
    yield name
    yield from older(directory, name)[:_MOST_PARTS]


def _plain(fd: int, head: Head, left: int) -> tuple[bool | None, int]:
    """Return whether this part holds the record (None: it does not tell), and how many bytes may yet be looked at."""
    for line in backwards(fd, left, lambda first: (sequence(first) or 0) > head.sequence):
        number = sequence(line)
        if number is not None and number <= head.sequence:
            return number == head.sequence and digest(line) == head.digest, left
    return None, left - os.fstat(fd).st_size


def _packed(fd: int, head: Head, left: int) -> tuple[bool | None, int]:
    below = False
    for whole in forwards(fd, packed=True, most=left):
        left -= len(whole)
        line = whole.rstrip(b"\n")
        number = sequence(line)
        if number == head.sequence:
            return digest(line) == head.digest, left
        if number is not None and number > head.sequence:
            return (False if below else None), left
        below |= number is not None
    return (False if below and left > 0 else None), left
