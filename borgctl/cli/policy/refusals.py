"""Refused requests in an audit log, read line by line and counted.

It trusts none of them: a log has what peers sent, and perhaps what another program wrote into it. Texts are as
recorded: whoever prints them must escape them (`text.printable`).

    collect(open("/var/log/borgctl/audit.jsonl", "rb")).refusals[0].count == 12
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from borgctl.reasons import REASONS

_LONGEST_LINE = 64 * 1024  # bytes; the gate's own records are at most 16 KiB
_MOST_KINDS = 5000  # different refusals that are counted apart


@dataclass(slots=True)
class Refusal:
    """Equal refused requests: their number, the time and peer of the last; `why`: the reason for no suggestion."""

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
    """The refusals of a log, and counts of its other lines."""

    records: int = 0
    unreadable: int = 0  # lines that are no record
    malformed: int = 0  # requests that are not in the language
    counted: int = 0  # refusals without a record of their own
    beyond: int = 0  # refusals beyond the most different ones
    refusals: list[Refusal] = field(default_factory=list)


def collect(log: BinaryIO) -> Collection:
    """Count the records and collect the refusals, the most frequent first."""
    result = Collection()
    kinds: dict[tuple[str, str, str, bool], Refusal] = {}
    while line := log.readline(_LONGEST_LINE):
        record = _record(line)
        if record is None:
            result.unreadable += 1
            continue
        result.records += 1
        if record["type"] == "alert" and record.get("reason") == "refusals-counted":
            result.counted += record["count"] if type(record.get("count")) is int else 0
        if record["type"] != "refuse":
            continue
        if REASONS[record["reason"]].status == 76:
            result.malformed += 1
            continue
        key = (record["policy"], record["reason"], record["request"], record.get("peer") is None)
        if key not in kinds and len(kinds) >= _MOST_KINDS:
            result.beyond += 1
            continue
        refusal = kinds.setdefault(key, Refusal(*key))
        refusal.count += 1
        refusal.last = _matching(r"[0-9T:.Z+-]{1,40}", record.get("time"))
        refusal.peer = _matching(r"[0-9A-Za-z.:%]{1,60}", record.get("peer")) or ("this machine" if key[3] else "")
    result.refusals = sorted(kinds.values(), key=lambda refusal: -refusal.count)
    return result


def _record(line: bytes) -> dict[str, Any] | None:
    """Return a record of the gate, None for any other line."""
    try:
        value = json.loads(line.decode("utf-8")) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    texts = [value.get(name) for name in ("policy", "request", "reason")]
    if value["type"] == "refuse" and not (all(isinstance(text, str) for text in texts) and texts[2] in REASONS):
        return None
    return value


def _matching(pattern: str, value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else ""
