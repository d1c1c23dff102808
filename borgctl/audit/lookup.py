"""What an audit log and its older parts hold: the last record of all, and what leads from a certain record to the end.

The work is bounded, as a peer may cause it again and again. Reads only; nothing is proved (`chain`, `borgctl audit
verify`).

    since(directory, "audit.jsonl", Head.read("7:0a…"), head).digests
"""

import hashlib
import os
from typing import NamedTuple

from borgctl.audit import chain
from borgctl.audit.chain import Link, link
from borgctl.audit.rotation import LONGEST, backwards, forwards, older, packed, reading
from borgctl.data_class import dataclass, field
from borgctl.values import Head
from borgctl.wire.hashchain import MOST

_MOST_BYTES = 64 * 1024 * 1024  # that are looked through, unpacked
_MOST_PARTS = 32
_ATTEMPTS = 3
_BLOCK = 64 * 1024


class Last(NamedTuple):
    """The last record of a log; `linked`: it is of the chain as it is today."""

    head: Head
    linked: bool


class Ending(NamedTuple):
    """How a file ends: its last record, and the SHA-256 of what stands behind that, each line with its newline."""

    last: Last | None
    skipped: str | None


def ending(fd: int) -> Ending:
    """Return how a file ends; `skipped` is of the whole file where no record is near.

    Raise OSError for an endless line.
    """
    size, last, behind, lines = os.fstat(fd).st_size, None, 0, 0
    for line in backwards(fd, 2 * LONGEST):
        if (found := link(line)) is not None:
            last = _last(found)
            break
        behind, lines = behind + len(line) + 1, lines + 1
    if size and last is None and not lines:
        raise OSError(0, f"its last line has more than {LONGEST} bytes")
    torn = bool(size) and os.pread(fd, 1, size - 1) != b"\n"
    start = size + torn - behind if last else 0
    return Ending(last, _hashed(fd, start, size, torn=torn) if lines else None)


def _hashed(fd: int, start: int, end: int, *, torn: bool) -> str:
    found = hashlib.sha256()
    while start < end and (block := os.pread(fd, min(_BLOCK, end - start), start)):
        found.update(block)
        start += len(block)
    found.update(b"\n" * torn)
    return found.hexdigest()


def newest(directory: int, name: str) -> Last | None:
    """Return the last record of the newest older part that has one."""
    for part in older(directory, name)[:_MOST_PARTS]:
        try:
            with reading(directory, part) as fd:
                found = _packed_ending(fd) if packed(part) else ending(fd).last
        except OSError:
            continue
        if found is not None:
            return found
    return None


def _packed_ending(fd: int) -> Last | None:
    """Return the last record of a compressed part, None where it is too long to be unpacked here."""
    last, left = None, _MOST_BYTES
    for line in forwards(fd, packed=True, most=_MOST_BYTES):
        left -= len(line)
        last = line[:-1] if chain.sequence(line) is not None and line.endswith(b"\n") else last
    found = link(last) if last is not None and left > 0 else None
    return _last(found) if found else None


def _last(found: Link) -> Last:
    return Last(found.head, found.digest is not None)


@dataclass(frozen=True, slots=True)
class Since:
    """Whether the log holds a record (None: that takes too long to find), and what leads from it to `head`.

    `digests` are those of the records' bodies, at most MOST; None where one is missing or of before the chain.
    """

    holds: bool | None
    digests: tuple[str, ...] | None = None
    head: Head | None = None


def since(directory: int, name: str, seen: Head, head: Head) -> Since:
    """Look for exactly the record `seen`, and for all that came after it up to `head`.

    What is not found while logrotate(8) gives the parts other names is looked for again.
    """
    for _ in range(_ATTEMPTS):
        before = _parts(directory, name)
        found = _since(directory, [part for part, _ in before], _Search(seen, min(head.sequence, seen.sequence + MOST)))
        if found.digests is not None or before == _parts(directory, name):
            break
    return found


def _parts(directory: int, name: str) -> list[tuple[str, int | None]]:
    """Return the names of the log and its older parts, the newest first, each with its inode."""

    def inode(part: str) -> int | None:
        try:
            return os.stat(part, dir_fd=directory, follow_symlinks=False).st_ino
        except OSError:
            return None

    return [(part, inode(part)) for part in (name, *older(directory, name)[:_MOST_PARTS])]


def _since(directory: int, parts: list[str], search: "_Search") -> Since:
    """Search the parts; numbers only grow from line to line, so the first one that is not greater decides."""
    for part in parts:
        try:
            with reading(directory, part) as fd:
                holds = search.packed(fd) if packed(part) else search.plain(fd)
        except OSError:
            continue
        if holds:
            return search.found()
        if holds is False:
            return Since(False)
        if search.left <= 0:
            return Since(None)
    return Since(False)


@dataclass(slots=True)
class _Search:
    """The state of a search: the records up to `last` that were met, and how many bytes may yet be looked at."""

    seen: Head
    last: int
    met: dict[int, Link] = field(default_factory=dict)
    left: int = field(default_factory=lambda: _MOST_BYTES)

    def plain(self, fd: int) -> bool | None:
        """Tell whether this part holds the record; None: it does not tell."""
        holds = None
        for line in backwards(fd, self.left, lambda first: (chain.sequence(first) or 0) > self.last):
            if (one := self._wanted(line)) is None:
                continue
            if one.sequence <= self.seen.sequence:
                holds = one.head == self.seen
                break
            self.met.setdefault(one.sequence, _small(one))
        self.left -= os.fstat(fd).st_size
        return holds

    def packed(self, fd: int) -> bool | None:
        """The same of a part that can be read from its beginning only."""
        holds, below = None, False
        for whole in forwards(fd, packed=True, most=self.left):
            self.left -= len(whole)
            if (one := self._wanted(whole.rstrip(b"\n"))) is None:
                continue
            if one.sequence > self.seen.sequence:
                self.met.setdefault(one.sequence, _small(one))
            elif one.sequence == self.seen.sequence:
                holds = one.head == self.seen
            below |= one.sequence < self.seen.sequence
        return False if holds is None and below and self.left > 0 else holds

    def _wanted(self, line: bytes) -> Link | None:
        number = chain.sequence(line)
        return None if number is None or number > self.last else link(line)

    def found(self) -> Since:
        """Return what was met, now that the record is there."""
        links = [self.met.get(number) for number in range(self.seen.sequence + 1, self.last + 1)]
        digests = tuple(one.digest for one in links if one is not None and one.digest is not None)
        if len(digests) < len(links) or self.last < self.seen.sequence:
            return Since(True)
        return Since(True, digests, links[-1].head if links and links[-1] else self.seen)


def _small(one: Link) -> Link:
    """Leave out what a record says: many are held at once."""
    return Link(one.head, one.previous, one.digest, {})
