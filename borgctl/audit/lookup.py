"""Search an audit log and its older parts: for the last record, and for the digests from a given record to the end.

The work is bounded, as a peer may cause it again and again. This module only reads, and proves nothing: that is for
`chain` and `borgctl audit verify`.

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

_MOST_BYTES = 64 * 1024 * 1024  # to search, unpacked
_MOST_PARTS = 32
_ATTEMPTS = 3
_BLOCK = 64 * 1024


class Last(NamedTuple):
    """The last record of a log; `linked`: it belongs to the chain of today's version."""

    head: Head
    linked: bool


class FileEnd(NamedTuple):
    """The end of a file: its last record, and the SHA-256 of what follows it, each line with its newline."""

    last: Last | None
    skipped: str | None


def ending(fd: int) -> FileEnd:
    """Return how a file ends; `skipped` is the whole file's hash where no record is near the end.

    Raise OSError for a line of more than LONGEST bytes.
    """
    size, last, behind, lines = os.fstat(fd).st_size, None, 0, 0
    for line in backwards(fd, 2 * LONGEST):
        if (record := link(line)) is not None:
            last = _last(record)
            break
        behind, lines = behind + len(line) + 1, lines + 1
    if size and last is None and not lines:
        raise OSError(0, f"its last line has more than {LONGEST} bytes")
    torn = bool(size) and os.pread(fd, 1, size - 1) != b"\n"
    start = size + torn - behind if last else 0
    return FileEnd(last, _hash(fd, start, size, torn=torn) if lines else None)


def _hash(fd: int, start: int, end: int, *, torn: bool) -> str:
    digest = hashlib.sha256()
    while start < end and (block := os.pread(fd, min(_BLOCK, end - start), start)):
        digest.update(block)
        start += len(block)
    digest.update(b"\n" * torn)
    return digest.hexdigest()


def newest(directory: int, name: str) -> Last | None:
    """Return the last record of the newest older part that has one."""
    for part in older(directory, name)[:_MOST_PARTS]:
        try:
            with reading(directory, part) as fd:
                last = _packed_ending(fd) if packed(part) else ending(fd).last
        except OSError:
            continue
        if last is not None:
            return last
    return None


def _packed_ending(fd: int) -> Last | None:
    """Return the last record of a compressed part, None where unpacking it takes too long."""
    last, left = None, _MOST_BYTES
    for line in forwards(fd, packed=True, most=_MOST_BYTES):
        left -= len(line)
        last = line[:-1] if chain.sequence(line) is not None and line.endswith(b"\n") else last
    record = link(last) if last is not None and left > 0 else None
    return _last(record) if record else None


def _last(record: Link) -> Last:
    return Last(record.head, record.digest is not None)


@dataclass(frozen=True, slots=True)
class Since:
    """Whether the log holds a record (None: the search takes too long), and the digests from it to `head`.

    `digests` are those of the records' bodies, at most MOST; None where one is missing or older than the chain.
    """

    holds: bool | None
    digests: tuple[str, ...] | None = None
    head: Head | None = None


def since(directory: int, name: str, seen: Head, head: Head) -> Since:
    """Search for exactly the record `seen`, and for all records after it up to `head`.

    If logrotate(8) renames parts meanwhile, an unsuccessful search is repeated.
    """
    for _ in range(_ATTEMPTS):
        before = _parts(directory, name)
        result = _since(
            directory, [part for part, _ in before], _Search(seen, min(head.sequence, seen.sequence + MOST))
        )
        if result.digests is not None or before == _parts(directory, name):
            break
    return result


def _parts(directory: int, name: str) -> list[tuple[str, int | None]]:
    """Return the names of the log and its older parts, newest first, each with its inode."""

    def inode(part: str) -> int | None:
        try:
            return os.stat(part, dir_fd=directory, follow_symlinks=False).st_ino
        except OSError:
            return None

    return [(part, inode(part)) for part in (name, *older(directory, name)[:_MOST_PARTS])]


def _since(directory: int, parts: list[str], search: "_Search") -> Since:
    """Search the parts; numbers grow from line to line, so the first one that is not greater decides."""
    for part in parts:
        try:
            with reading(directory, part) as fd:
                holds = search.packed(fd) if packed(part) else search.plain(fd)
        except OSError:
            continue
        if holds:
            return search.result()
        if holds is False:
            return Since(False)
        if search.left <= 0:
            return Since(None)
    return Since(False)


@dataclass(slots=True)
class _Search:
    """The state of a search: the records up to `last` so far, and how many bytes may yet be read."""

    seen: Head
    last: int
    records: dict[int, Link] = field(default_factory=dict)
    left: int = field(default_factory=lambda: _MOST_BYTES)

    def plain(self, fd: int) -> bool | None:
        """Tell whether a plain part holds the record; None where it does not show that."""
        holds = None
        for line in backwards(fd, self.left, lambda first: (chain.sequence(first) or 0) > self.last):
            if (record := self._wanted(line)) is None:
                continue
            if record.sequence <= self.seen.sequence:
                holds = record.head == self.seen
                break
            self.records.setdefault(record.sequence, _small(record))
        self.left -= os.fstat(fd).st_size
        return holds

    def packed(self, fd: int) -> bool | None:
        """Tell the same of a compressed part, which can only be read from its start."""
        holds, below = None, False
        for whole in forwards(fd, packed=True, most=self.left):
            self.left -= len(whole)
            if (record := self._wanted(whole.rstrip(b"\n"))) is None:
                continue
            if record.sequence > self.seen.sequence:
                self.records.setdefault(record.sequence, _small(record))
            elif record.sequence == self.seen.sequence:
                holds = record.head == self.seen
            below |= record.sequence < self.seen.sequence
        return False if holds is None and below and self.left > 0 else holds

    def _wanted(self, line: bytes) -> Link | None:
        number = chain.sequence(line)
        return None if number is None or number > self.last else link(line)

    def result(self) -> Since:
        """Return the result of a search that has found the record."""
        links = [self.records.get(number) for number in range(self.seen.sequence + 1, self.last + 1)]
        digests = tuple(link.digest for link in links if link is not None and link.digest is not None)
        if len(digests) < len(links) or self.last < self.seen.sequence:
            return Since(True)
        return Since(True, digests, links[-1].head if links and links[-1] else self.seen)


def _small(record: Link) -> Link:
    """Drop a record's content: many are held at once."""
    return Link(record.head, record.previous, record.digest, {})
