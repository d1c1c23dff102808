"""`borgctl audit show`: the audit log as a table. Whatever is in the log, only printable characters come out.

A record is read as far as its values have the types that the gate gives them; what does not is left out. It proves
nothing (`verify_chain`).

    >>> brief(record(b'{"type": "exit", "outcome": "ok", "sequence": 7, "run": "3f2a", "time": "2026-11-23"}'))
    ['2026-11-23', '7', 'exit ok', '3f2a', '']
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from borgctl.borg.warning_kinds import counts_text
from borgctl.cli.log.warned_files import counts
from borgctl.errors import REASONS, BadValue
from borgctl.text import printable
from borgctl.values import duration
from borgctl.wire.frames import OUTCOMES

COLUMNS = ("time", "no", "what", "who", "asked", "run", "about")
NARROW = ("time", "no", "what", "run", "about")  # of a terminal that is not wide
_WIDE = 140
_LONGEST = 200  # characters of a cell
TYPES = ("accept", "refuse", "exit", "window", "alert", "chain", "unreadable")
_STYLES = {"alert": "bold red", "refused": "red", "malformed": "red", "ok": "green"}


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


def sought(word: str) -> str:
    """Return the outcome or the type of record that a person asks for; a word that is neither is in no log of ours."""
    if word not in OUTCOMES + TYPES:
        known = f"an outcome: {', '.join(OUTCOMES)}; or a record: {', '.join(TYPES)}"
        raise BadValue(f"unknown outcome {word[:40]!r} (expected {known})")
    return word


def since(text: str, now: datetime) -> datetime:
    """Read '2h' (before now) or a date or time as ISO 8601 writes it, local where it names no zone."""
    try:
        return now - timedelta(seconds=duration(text))
    except BadValue:
        pass
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValue(f"bad time {text[:40]!r}: expected 2h, 14d, 2026-11-23 or '2026-11-23 04:05'") from None


def record(line: bytes) -> dict[str, Any]:
    """Return a line as a record; one of type 'unreadable' where it is none."""
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
    """Return how it ended: as an exit record says, or as a refusal's reason means."""
    reason = REASONS.get(str(record.get("reason")))
    if record.get("type") == "refuse" and reason:
        return reason.outcome
    return record["outcome"] if isinstance(record.get("outcome"), str) else None


def row(record: dict[str, Any]) -> list[str]:
    """Return a record's cells for COLUMNS, printable."""
    kind, reason = record["type"], record.get("reason")
    told = outcome(record)
    what = f"{kind} {told}" if told else kind
    asked = [record.get(name) for name in ("command", "job", "repository")]
    about = {
        "accept": record.get("request"),
        "refuse": _both(reason, record.get("request") if reason is None else record.get("detail")),
        "exit": _both(reason, _ended(record)),
        "unreadable": record.get("line"),
    }.get(kind, _both(reason, {key: value for key, value in record.items() if key not in _USUAL}))
    who = record.get("peer") or ("local" if kind in ("accept", "refuse", "exit") else "")
    cells = (record.get("time"), record.get("sequence"), what, who, " ".join(_text(one) for one in asked if one))
    return [_cell(one) for one in (*cells, record.get("run"), about)]


def brief(record: dict[str, Any]) -> list[str]:
    """Return a record's cells for NARROW: to the second, the beginning of the run, and what is most to the point."""
    time, number, what, _, asked, run, about = row(record)
    told = asked or about if record["type"] == "accept" else about or asked
    return [re.sub(r"\.[0-9]+", "", time), number, what, run[:8], told]


def _last(record: dict[str, Any]) -> object:
    """Return the last line of what a run that failed said; the whole where it is no list of lines."""
    said = record.get("said")
    return said[-1] if isinstance(said, list) and said else said


def _hooks(record: dict[str, Any]) -> object:
    """Return which hooks failed, and the last line of what was said, where it was a hook that failed."""
    notes, said = record.get("hooks"), _last(record)
    return _both("; ".join(map(_text, notes)), said) if isinstance(notes, list) and notes else None


def _ended(record: dict[str, Any]) -> object:
    """Return what is most to the point of how a run ended."""
    pruned = record.get("pruned")
    prune = pruned.get("said") if isinstance(pruned, dict) else None
    return record.get("detail") or _hooks(record) or prune or counts_text(counts(record)) or _last(record)


_PLACE = ("time", "sequence", "chain", "previous", "salt", "skipped")
_USUAL = frozenset((*_PLACE, "type", "reason", "run", "peer", "command", "job", "repository"))


def _both(reason: object, more: object) -> str:
    return ": ".join(_text(one) for one in (reason, more) if one)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item if isinstance(item, str) else json.dumps(item)}" for key, item in value.items())
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _cell(value: object) -> str:
    text = _text(value)
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def console() -> Console:
    """Return a console that takes text for text, and does not fold what goes into a file or a pipe."""
    found = Console(markup=False, highlight=False, emoji=False)
    return found if found.is_terminal else Console(markup=False, highlight=False, emoji=False, width=400)


def table(records: Iterable[dict[str, Any]], to: Console) -> None:
    """Print records as a table, on a narrow terminal with fewer columns."""
    headers, cells = (COLUMNS, row) if to.width >= _WIDE else (NARROW, brief)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        shown.add_column(header, no_wrap=header in ("time", "no", "what", "run"))
    for one in records:
        shown.add_row(*map(Text, cells(one)), style=_style(one))
    to.print(shown)


def line(record: dict[str, Any], to: Console) -> None:
    """Print one record as a line."""
    to.print(Text("  ".join(row(record)), style=_style(record)), soft_wrap=True)


def _style(record: dict[str, Any]) -> str:
    return _STYLES.get(str(record["type"])) or _STYLES.get(outcome(record) or "") or ""
