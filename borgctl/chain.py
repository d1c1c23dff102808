"""The chain of an audit log: each record holds the SHA-256 of the line before it, so no line changes unnoticed.

This module knows lines, not files. A line that is no record (torn by a killed writer) is in the chain like any other.

    link(line).previous == digest(line_before)
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

START = "0" * 64  # 'previous' of a log's very first line
_BEGIN = re.compile(rb'\{"time": "[^"\\]{1,40}", "sequence": ([0-9]{1,15}), "previous": "([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Link:
    """A record that is in the chain."""

    sequence: int
    previous: str
    record: dict[str, Any]


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its newline, as hexadecimal digits."""
    return hashlib.sha256(line).hexdigest()


def sequence(line: bytes) -> int | None:
    """Return a record's number from the beginning of its line, without reading the rest."""
    match = _BEGIN.match(line)
    return int(match[1]) if match else None


def link(line: bytes) -> Link | None:
    """Return a line as a record of the chain; None for anything else."""
    match = _BEGIN.match(line)
    if not match:
        return None
    try:
        record = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("sequence") != int(match[1]):  # a key may stand twice
        return None
    return Link(int(match[1]), match[2].decode("ascii"), record)
