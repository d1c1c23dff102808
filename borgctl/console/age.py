"""How long ago something was, and whether that is too long; a clock that went back proves nothing.

age(then, now).overdue(26 * 3600)      str(age(100.0, 160.0)) == "1 min 0 s ago"
"""

from typing import NamedTuple

from borgctl.console.text import elapsed

AHEAD = 300.0  # seconds: what is further to come than clocks differ says nothing of how long ago it was
STILL_TO_COME = "still to come: the clock went back"


class Age(NamedTuple):
    """`seconds` are never less than none; `ahead`: it is still to come, so that nobody knows how long ago it was."""

    seconds: float
    ahead: bool

    def overdue(self, longest: float) -> bool:
        """Tell whether more than `longest` seconds have passed, as far as is known."""
        return self.ahead or self.seconds > longest

    def __str__(self) -> str:
        return STILL_TO_COME if self.ahead else f"{elapsed(self.seconds)} ago"


def age(then: float, now: float) -> Age:
    """Return the age of what was at `then`; both are seconds since the epoch."""
    return Age(max(0.0, now - then), then > now + AHEAD)
