"""Messages: the text of what is told: titles of one line, bodies that are escaped and bounded. Nothing is sent here.

The words are the launcher's, from its own record of a run. What a client chose in them is escaped, and cut.

    message([Event("failed", "web1", "web1 default: failed (ssh-failed)", "…")]).title
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from borgctl.pull.notify.events import OVERDUE, RECOVERED, Event
from borgctl.pull.report.target_status import Standing
from borgctl.text import printable

LONGEST_TITLE = 200  # characters
LONGEST_BODY = 8000
_LONGEST_LINE = 500
# what makes a mention, or a link that hides where it leads, in some of the services; a blank ends it
_MARKUP = re.compile(r"(@|<|\](?=\())")
_LEVELS = ("well", "with warnings", "critical")


class Message(NamedTuple):
    """A message; `weight` is info, success, warning or failure, as Apprise has it."""

    title: str
    body: str
    weight: str


def message(events: Sequence[Event]) -> Message:
    """Return one message about events that are told together."""
    title = events[0].title if len(events) == 1 else f"borgpull: {_counts(events)}"
    kinds = {event.kind for event in events}
    late = "warning" if kinds <= {RECOVERED, OVERDUE} else "failure"
    weight = "success" if kinds == {RECOVERED} else late
    return Message(line(title, LONGEST_TITLE), body("\n".join(dict.fromkeys(event.text for event in events))), weight)


def _counts(events: Sequence[Event]) -> str:
    kinds = [event.kind for event in events]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def digest(standings: Sequence[Standing]) -> Message:
    """Return the day's message about targets: what is wrong first."""
    ordered = sorted(standings, key=lambda standing: -standing.level)
    levels = [standing.level for standing in ordered]
    counts = [f"{levels.count(level)} {_LEVELS[level]}" for level in (2, 1, 0) if level in levels]
    title = f"borgpull: {len(levels)} target{'s' if len(levels) != 1 else ''}, {', '.join(counts)}"
    text = "\n".join(str(row) for standing in ordered for row in standing.lines)
    return Message(line(title, LONGEST_TITLE), body(text), ("info", "warning", "failure")[max(levels)])


def line(text: str, longest: int = _LONGEST_LINE) -> str:
    """Return text as one line that is escaped and has at most so many characters."""
    shown = _MARKUP.sub(r"\1 ", printable(text[: longest + 1]))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def body(text: str) -> str:
    """Return text line by line, each escaped and cut, and not too long as a whole."""
    lines: list[str] = []
    size = 0
    every = text.split("\n")
    for number, one in enumerate(every):
        shown = line(one)
        size += len(shown) + 1
        if size > LONGEST_BODY:
            return "\n".join([*lines, f"and {len(every) - number} more lines: borgpull status"])
        lines.append(shown)
    return "\n".join(lines)
