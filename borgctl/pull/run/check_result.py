"""Check result: one thing that `borgpull test` looked at, and the exit status of several.

Check("clock", "warn", "the client's clock is 40 s ahead", "synchronise both clocks …").lines(80)
"""

from typing import Any

from borgctl.console.text import wrapped
from borgctl.data_class import dataclass
from borgctl.pull.targets.owner import typed
from borgctl.text import printable_excerpt


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, ok, warn or error, a sentence, and what to do."""

    name: str
    level: str
    text: str
    hint: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"check": self.name, "level": self.level, "text": self.text, "hint": self.hint}

    def lines(self, width: int) -> list[str]:
        """Return it for people, wrapped."""
        lines = wrapped(f"{self.level:<6} {self.name:<11} ", printable_excerpt(self.text), width)
        return [*lines, *wrapped(f"{'':19}-> ", typed(self.hint), width)] if self.hint and self.level != "ok" else lines


def status(levels: list[str]) -> int:
    """Return the exit status: 0 all ok, 1 warnings, 2 errors."""
    return 2 if "error" in levels else 1 if "warn" in levels else 0
