"""Pause: until when a target is not run, and why. It ends by itself, so that nobody forgets a client.

paused: {until: 2026-12-24, reason: moves to another house}        until that day begins, by this machine's clock
paused: {until: "2026-12-24T18:00+01:00", reason: …}
"""

import re
from datetime import datetime

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.strict_yaml import Node

_KEYS = ("until", "reason")
_FORM = r"2[0-9]{3}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
_LONGEST = 200  # characters of a reason


@dataclass(frozen=True, slots=True)
class Pause:
    """`until` is in seconds since the epoch."""

    until: float
    reason: str

    def __str__(self) -> str:
        return f"paused until {datetime.fromtimestamp(self.until):%Y-%m-%d %H:%M}: {self.reason}"


def read(notes: NodeReader, node: Node) -> Pause:
    """Read `paused`; note every mistake in `notes`."""
    fields = notes.fields(node, _KEYS, required=_KEYS)
    until = notes.scalar(fields["until"], moment, 0.0) if "until" in fields else 0.0
    return Pause(until, notes.scalar(fields["reason"], _reason, "") if "reason" in fields else "")


def moment(text: str) -> float:
    """Read a date, or date and time, of the years 2000 to 2999, local without an offset; a date is its midnight."""
    if not re.fullmatch(_FORM, text):
        raise BadValue(f"bad time {text[:40]!r}: expected a date, or a date and time: 2026-12-24, 2026-12-24T18:00")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise BadValue(f"bad time {text!r}: there is no such day, hour or offset") from None
    except OverflowError:  # where the system's times have 32 bits
        raise BadValue(f"bad time {text!r}: this machine's clock ends before that") from None


def _reason(text: str) -> str:
    if not text.strip():
        raise BadValue("the reason is empty: say why, for whoever reads it later")
    if len(text) > _LONGEST:
        raise BadValue(f"a reason of {len(text)} characters is too long (at most {_LONGEST})")
    return text
