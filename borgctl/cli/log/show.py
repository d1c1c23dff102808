"""`borgctl audit show`: records as a table, in which only printable characters come out.

A row is one record. What has another type than the gate gives it is left out (`records`).

    >>> brief({"type": "exit", "outcome": "ok", "sequence": 7, "run": "3f2a", "time": "2026-11-23"})
    ['2026-11-23', '7', 'exit ok', '3f2a', '']
"""

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from borgctl.borg.warning_kinds import counts_text
from borgctl.cli.log.records import outcome
from borgctl.cli.log.warned_files import counts
from borgctl.text import printable

# the columns and their usual widths: with --follow each row is a table of its own, and rows stand below each other
COLUMNS = {"time": 24, "no": 5, "what": 17, "who": 12, "asked": 24, "run": 16, "about": 1}
NARROW = {"time": 20, "no": 5, "what": 17, "run": 8, "about": 1}  # of a terminal that is not wide
_WHOLE = ("time", "no", "what", "run")  # columns that are never folded
_WIDE = 140
_LONGEST = 200  # characters of a cell
_STYLES = {"alert": "bold red", "refused": "red", "malformed": "red", "ok": "green"}


def row(record: dict[str, Any]) -> list[str]:
    """Return a record's cells for COLUMNS, printable."""
    kind, reason, result = record["type"], record.get("reason"), outcome(record)
    what = f"{kind} {result}" if result else kind
    asked = [record.get(name) for name in ("command", "job", "repository")]
    about = {
        "accept": record.get("request"),
        "refuse": _both(reason, record.get("request") if reason is None else record.get("detail")),
        "exit": _both(reason, _ended(record)),
        "window": _both(reason, _command_line(record)),
        "unreadable": record.get("line"),
    }.get(kind, _both(reason, _rest(record)))
    who = record.get("peer") or ("local" if kind in ("accept", "refuse", "exit") else "")
    cells = (record.get("time"), record.get("sequence"), what, who, " ".join(_text(part) for part in asked if part))
    return [_cell(value) for value in (*cells, record.get("run"), about)]


def brief(record: dict[str, Any]) -> list[str]:
    """Return a record's cells for NARROW: to the second, the beginning of the run, and the most important text."""
    time, number, what, _, asked, run, about = row(record)
    text = asked or about if record["type"] == "accept" else about or asked
    return [re.sub(r"\.[0-9]+", "", time), number, what, run[:8], text]


def _last(record: dict[str, Any]) -> object:
    """Return the last line that a failed run said; the whole where it is no list of lines."""
    said = record.get("said")
    return said[-1] if isinstance(said, list) and said else said


def _hooks(record: dict[str, Any]) -> object:
    """Return which hooks failed, with the last line that was said; None where none failed."""
    notes, said = record.get("hooks"), _last(record)
    return _both("; ".join(map(_text, notes)), said) if isinstance(notes, list) and notes else None


def _ended(record: dict[str, Any]) -> object:
    """Return the most important text about how a run ended."""
    pruned = record.get("pruned")
    prune = pruned.get("said") if isinstance(pruned, dict) else None
    return record.get("detail") or _hooks(record) or prune or counts_text(counts(record)) or _last(record)


def _command_line(record: dict[str, Any]) -> object:
    """Return the command that the client's admin ran in a window, as a shell would take it."""
    argv = record.get("argv")
    whole = isinstance(argv, list) and all(isinstance(word, str) for word in argv)
    return shlex.join(argv) if whole and argv else _rest(record)


_PLACE = ("time", "sequence", "chain", "previous", "salt", "skipped")
_SHOWN = frozenset((*_PLACE, "type", "reason", "run", "peer", "command", "job", "repository"))


def _rest(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _SHOWN}


def _both(reason: object, more: object) -> str:
    return ": ".join(_text(part) for part in (reason, more) if part)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item if isinstance(item, str) else json.dumps(item)}" for key, item in value.items())
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _cell(value: object) -> str:
    text = _text(value)
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def console() -> Console:
    """Return a console that takes text literally, and does not fold what goes into a file or a pipe."""
    terminal = Console(markup=False, highlight=False, emoji=False)
    return terminal if terminal.is_terminal else Console(markup=False, highlight=False, emoji=False, width=400)


def table(records: Iterable[dict[str, Any]], to: Console) -> None:
    """Print records as a table, on a narrow terminal with fewer columns."""
    _print(records, to, header=True)


def line(record: dict[str, Any], to: Console) -> None:
    """Print one record as a row without a header, with its columns below those of the row before."""
    _print([record], to, header=False)


def _print(records: Iterable[dict[str, Any]], to: Console, *, header: bool) -> None:
    columns, cells = (COLUMNS, row) if to.width >= _WIDE else (NARROW, brief)
    shown = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for title, width in columns.items():
        whole = title in _WHOLE
        shown.add_column(title, no_wrap=whole, min_width=width, overflow="ellipsis" if whole else "fold")
    for record in records:
        shown.add_row(*map(Text, cells(record)), style=_style(record))
    to.print(shown)


def _style(record: dict[str, Any]) -> str:
    return _STYLES.get(str(record["type"])) or _STYLES.get(outcome(record) or "") or ""
