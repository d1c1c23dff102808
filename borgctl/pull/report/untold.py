"""Untold: who could not be told of a target, for `borgpull status`. It is no alert, and stops nothing.

>>> failure = Failure(0.0, 60.0, 2, "answered with status 403")
>>> str(Untold("web1", "notify 1 (json://…)", failure))
'web1: not told: notify 1 (json://…): answered with status 403 (2 times, first 1970-01-01T00:00:00+00:00)'
"""

from typing import Any

from borgctl.data_class import dataclass
from borgctl.pull.state import told
from borgctl.pull.state.told import Failure
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target
from borgctl.text import iso, printable_excerpt

_BROKEN_OFF = "the try broke off"


@dataclass(frozen=True, slots=True)
class Untold:
    """A way to tell somebody that fails."""

    target: str
    who: str
    failure: Failure

    @property
    def brief(self) -> str:
        """Return who was not told, and why not."""
        return printable_excerpt(f"not told: {self.who}: {self.failure.text or _BROKEN_OFF}")

    @property
    def words(self) -> str:
        """Return that, and since when."""
        again = f"{self.failure.count} times, " if self.failure.count > 1 else ""
        return f"{self.brief} ({again}first {iso(self.failure.since)})"

    def __str__(self) -> str:
        return f"{self.target}: {self.words}"

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        times = {"first": iso(self.failure.since), "latest": iso(self.failure.latest)}
        return {"who": self.who, "text": self.failure.text or _BROKEN_OFF, "count": self.failure.count, **times}


def untold(folders: Folders, target: Target, now: float) -> tuple[Untold, ...]:
    """Return who could not be told, of those whom the target's file names."""
    if not target.telling.names:
        return ()
    failures = told.load(folders.told(target.name)).failures
    return tuple(
        Untold(str(target.name), who, failures[who])
        for who in target.telling.names
        if who in failures and failures[who].stands(now)
    )
