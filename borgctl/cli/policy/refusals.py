"""Refused requests in an audit log: read line by line, counted, and none of them believed.

A log may hold whatever a peer sent and whatever another program wrote into it. Text is returned as it was recorded:
whoever shows it must escape it (`text.printable`).

    collected(open("/var/log/borgctl/audit.jsonl", "rb")).refusals[0].count == 12
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from borgctl.errors import REASONS

_LONGEST_LINE = 64 * 1024  # bytes; the gate's own records are at most 16 KiB
_MOST_KINDS = 5000  # different refusals that are kept apart


@dataclass(slots=True)
class Refusal:
    """Equal refused requests: how often, when last and by whom then; `why` it is not suggested."""

    policy: str
    reason: str
    request: str
    local: bool
    count: int = 0
    last: str = ""
    peer: str = ""
    why: str = ""

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        who = f"last {self.last or 'at an unknown time'} from {self.peer or 'an unknown address'}"
        return f"{self.reason}, {times}, {who}: {self.request or '(empty)'}"


@dataclass(slots=True)
class Collection:
    """What a log holds."""

    records: int = 0
    unreadable: int = 0  # lines that are no record
    malformed: int = 0  # requests that are not in the language
    counted: int = 0  # refusals that have no record of their own
    beyond: int = 0  # refusals that are not told apart any more
    refusals: list[Refusal] = field(default_factory=list)


def collected(log: BinaryIO) -> Collection:
    """Count the records and gather the refusals, the most frequent first."""
    found = Collection()
    known: dict[tuple[str, str, str, bool], Refusal] = {}
    while line := log.readline(_LONGEST_LINE):
        record = _record(line)
        if record is None:
            found.unreadable += 1
            continue
        found.records += 1
        if record["type"] == "alert" and record.get("reason") == "refusals-counted":
            found.counted += record["count"] if type(record.get("count")) is int else 0
        if record["type"] != "refuse":
            continue
        if REASONS[record["reason"]].status == 76:
            found.malformed += 1
            continue
        key = (record["policy"], record["reason"], record["request"], record.get("peer") is None)
        if key not in known and len(known) >= _MOST_KINDS:
            found.beyond += 1
            continue
        refusal = known.setdefault(key, Refusal(*key))
        refusal.count += 1
        refusal.last = _matching(r"[0-9T:.Z+-]{1,40}", record.get("time"))
        refusal.peer = _matching(r"[0-9A-Za-z.:%]{1,60}", record.get("peer")) or ("this machine" if key[3] else "")
    found.refusals = sorted(known.values(), key=lambda refusal: -refusal.count)
    return found


def _record(line: bytes) -> dict[str, Any] | None:
    """Return a record of the gate's, None for anything else."""
    try:
        value = json.loads(line.decode("utf-8")) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    told = [value.get(name) for name in ("policy", "request", "reason")]
    if value["type"] == "refuse" and not (all(isinstance(text, str) for text in told) and told[2] in REASONS):
        return None
    return value


def _matching(pattern: str, value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else ""
