"""Tell how long ago something was, and whether that is too long; a clock that went back proves nothing.

age(then, now).overdue(26 * 3600)      str(age(100.0, 160.0)) == "1 min 0 s ago"
"""

from typing import NamedTuple

from borgctl.console.text import elapsed

AHEAD = 300.0  # seconds that clocks may differ: a time further in the future says nothing of its age
IN_THE_FUTURE = "in the future: the clock went back"


class Age(NamedTuple):
    """`seconds` are never negative; `ahead`: the time is in the future, so its real age is unknown."""

    seconds: float
    ahead: bool

    def overdue(self, longest: float) -> bool:
        """Tell whether more than `longest` seconds have passed, or the age is unknown."""
        return self.ahead or self.seconds > longest

    def __str__(self) -> str:
        return IN_THE_FUTURE if self.ahead else f"{elapsed(self.seconds)} ago"


def age(then: float, now: float) -> Age:
    """Return the age of the time `then`; both are seconds since the epoch."""
    return Age(max(0.0, now - then), then > now + AHEAD)
