"""Lines of an audit log as records, and which of them a person asks for.

A record is read as far as its values have the types that the gate gives them. This proves nothing (`verify_chain`), and
nothing here is made safe for a terminal (`show`).

    wanted = Wanted(outcome=known_outcome("refused")); wanted.includes(record(line))
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from borgctl.errors import BadValue
from borgctl.reasons import REASONS
from borgctl.wire.frames import OUTCOMES

TYPES = ("accept", "refuse", "exit", "window", "alert", "chain", "unreadable")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records to show; None or empty: all of them."""

    since: datetime | None = None
    outcome: str | None = None
    peer: str | None = None
    run: str | None = None

    def includes(self, record: dict[str, Any]) -> bool:
        """Tell whether a record is one of those."""
        if self.since and (moment(record) or datetime.max.replace(tzinfo=UTC)) < self.since:
            return False
        if self.outcome and self.outcome not in (outcome(record), record.get("type")):
            return False
        if self.peer and (record.get("peer") or "local") != self.peer:
            return False
        return not self.run or str(record.get("run", "")).startswith(self.run)


def known_outcome(word: str) -> str:
    """Return an outcome or a type of record; raise BadValue for any other word, which no log of ours has."""
    if word not in OUTCOMES + TYPES:
        known = f"an outcome: {', '.join(OUTCOMES)}; or a record: {', '.join(TYPES)}"
        raise BadValue(f"unknown outcome {word[:40]!r} (expected {known})")
    return word


def record(line: bytes) -> dict[str, Any]:
    """Return a line as a record; for any other line one of type 'unreadable'."""
    try:
        value = json.loads(line.decode("utf-8"))
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        return value
    return {"type": "unreadable", "line": line[:1000].decode("utf-8", "backslashreplace")}


def moment(record: dict[str, Any]) -> datetime | None:
    """Return a record's time, if it has one."""
    try:
        return datetime.fromisoformat(str(record.get("time"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def outcome(record: dict[str, Any]) -> str | None:
    """Return how a run ended: as its exit record says, or as the reason of a refusal means."""
    reason = REASONS.get(str(record.get("reason")))
    if record.get("type") == "refuse" and reason:
        return reason.outcome
    return record["outcome"] if isinstance(record.get("outcome"), str) else None
