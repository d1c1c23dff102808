"""Read the chain of an audit log: each record holds the link of the record before it, so no change goes unnoticed.

A record's *body* is its line, without the newline and without the 64 digits of `previous`. Its link is computed from
those two (`hashchain`). A line that is no record (torn by a killed writer) is covered by its hash in the next record's
`skipped`. A record from before version 2 holds the SHA-256 of the line before it; its own line's hash is its link. This
module knows lines, not files.

    link(line).previous == link(line_before).head.digest
"""

import hashlib
import json
import re
from typing import Any

from borgctl.data_class import dataclass
from borgctl.values import Head
from borgctl.wire.hashchain import VERSION, joined

_BEGIN = re.compile(
    rb'\{"time": "[^"\\]{1,40}", "sequence": ([0-9]{1,15}), (?:"chain": ([0-9]), )?"previous": "([0-9a-f]{64})"'
)


@dataclass(frozen=True, slots=True)
class Link:
    """A record in the chain; `digest` is its body's, None for a record from before version 2."""

    head: Head
    previous: str
    digest: str | None
    record: dict[str, Any]

    @property
    def sequence(self) -> int:
        """Return the record's number."""
        return self.head.sequence


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its newline, in hexadecimal."""
    return hashlib.sha256(line).hexdigest()


def sequence(line: bytes) -> int | None:
    """Return a record's number from the start of its line, without reading the rest; None for no record."""
    match = _BEGIN.match(line)
    return int(match[1]) if match else None


def link(line: bytes) -> Link | None:
    """Return a line as a record of the chain; None for anything else."""
    match = _BEGIN.match(line)
    if not match or match[2] not in (None, b"%d" % VERSION):
        return None
    try:
        record = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    number, version, previous = int(match[1]), match[2] and VERSION, match[3].decode("ascii")
    if not isinstance(record, dict):
        return None
    if (record.get("sequence"), record.get("chain"), record.get("previous")) != (number, version, previous):
        return None  # a key may stand twice
    if version is None:
        return Link(Head(number, digest(line)), previous, None, record)
    body = digest(line[: match.start(3)] + line[match.end(3) :])
    return Link(Head(number, joined(previous, body)), previous, body, record)
