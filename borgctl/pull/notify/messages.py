"""Messages: the text of what is told: titles of one line, bodies that are escaped and bounded. Nothing is sent here.

The words are the launcher's, from its own record of a run. What a client chose in them is escaped, and cut. A body
begins with what each target has worst, possible attacks first. That part is never cut, so no target pushes another one
out.

    message([Event("failed", "web1", "web1 default: failed (ssh-failed)", "…")]).title
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from borgctl.pull.notify.events import FAILED, OVERDUE, RECOVERED, SUSPECT, Event
from borgctl.pull.report.job_status import POSSIBLE_ATTACK
from borgctl.pull.report.target_status import Standing
from borgctl.text import printable

LONGEST_TITLE = 200  # characters
LONGEST_BODY = 8000
MOST_TARGETS = 40  # with a line of their own at the beginning; more are named
MOST_OF_TARGET = 10  # lines of one target behind that
_LONGEST_LINE = 500
_LONGEST_FIRST = 150
_NAMES = 10  # in a line
_KINDS = (SUSPECT, FAILED, OVERDUE, RECOVERED)  # the worst first
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
    return Message(line(title, LONGEST_TITLE), _body_about(events), weight)


def _body_about(events: Sequence[Event]) -> str:
    if len(events) == 1:
        return body(events[0].text)
    by_target: dict[str, list[Event]] = {}
    for event in sorted(events, key=_severity):
        by_target.setdefault(event.target, []).append(event)
    parts = []
    for target, own in by_target.items():
        more = f", and {len(own) - 1} more" if len(own) > 1 else ""
        lines = dict.fromkeys(one for event in own for one in event.text.split("\n"))
        parts.append(_Part(target, f"{line(own[0].title, _LONGEST_FIRST)}{more}", [*lines]))
    return _joined(parts, ["", *_details(parts)])


def _severity(event: Event) -> tuple[bool, int]:
    """Return what to sort by; the worst comes first, and a title has no blank that a client chose."""
    return POSSIBLE_ATTACK not in event.title, _KINDS.index(event.kind)


def _counts(events: Sequence[Event]) -> str:
    kinds = [event.kind for event in events]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def digest(standings: Sequence[Standing]) -> Message:
    """Return the day's message about targets: what is wrong first."""
    ordered = sorted(standings, key=lambda standing: (not standing.suspicious, -standing.level))
    levels = [standing.level for standing in ordered]
    counts = [f"{levels.count(level)} {_LEVELS[level]}" for level in (2, 1, 0) if level in levels]
    title = f"borgpull: {len(levels)} target{'s' if len(levels) != 1 else ''}, {', '.join(counts)}"
    parts = [_part(standing) for standing in ordered]
    text = _joined(parts[: sum(map(bool, levels))], _details(parts))
    return Message(line(title, LONGEST_TITLE), text, ("info", "warning", "failure")[max(levels)])


class _Part(NamedTuple):
    """What is said of one target: its first line, and the others."""

    target: str
    first: str
    lines: list[str]


def _part(standing: Standing) -> _Part:
    """Return what there is to say of a target; a first line that is whole is not said twice."""
    lines = sorted(standing.lines, key=lambda one: (POSSIBLE_ATTACK not in one.words, -one.level))
    if not standing.level or not lines:
        return _Part(standing.target, "", [*map(str, standing.lines)])
    first = line(str(lines[0]), _LONGEST_FIRST)
    return _Part(standing.target, first, [*map(str, lines[first == str(lines[0]) :])])


def _joined(parts: Sequence[_Part], details: Sequence[str]) -> str:
    """Return a body: the first lines, all of them, and as much of the details as there is room for."""
    names = [part.target for part in parts[MOST_TARGETS:]]
    first = [part.first for part in parts[:MOST_TARGETS]]
    first += [f"also: {', '.join(names[at : at + _NAMES])}" for at in range(0, len(names), _NAMES)]
    head = "".join(f"{one}\n" for one in first)
    return f"{head}{body(chr(10).join(details), LONGEST_BODY - len(head))}".rstrip("\n")


def _details(parts: Sequence[_Part]) -> list[str]:
    """Return the lines of each target, but not too many of one."""
    lines = []
    for part in parts:
        lines += part.lines[:MOST_OF_TARGET]
        if (more := len(part.lines) - MOST_OF_TARGET) > 0:
            lines.append(f"{part.target}: and {more} more lines: borgpull status {part.target}")
    return lines


def line(text: str, longest: int = _LONGEST_LINE) -> str:
    """Return text as one line that is escaped and has at most so many characters."""
    shown = _MARKUP.sub(r"\1 ", printable(text[: longest + 1]))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def body(text: str, longest: int = LONGEST_BODY) -> str:
    """Return text line by line, each escaped and cut, and not too long as a whole."""
    lines: list[str] = []
    size = 0
    every = text.split("\n")
    for number, one in enumerate(every):
        shown = line(one)
        size += len(shown) + 1
        if size > longest:
            return "\n".join([*lines, f"and {len(every) - number} more lines: borgpull status"])
        lines.append(shown)
    return "\n".join(lines)
