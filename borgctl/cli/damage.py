"""Damage that borg has found in a repository, from the audit log: it stands until the same job ends well again.

A job that makes archives can go well beside objects that are damaged: only the one that has found them takes it back.

    damages = Damages(); damages.take(record); damages.of("/etc/borgctl/web1.yaml")
"""

from dataclasses import dataclass, field
from typing import Any

from borgctl.borg_log import DAMAGED
from borgctl.run import DRY_RUN

_GOOD = ("ok", "warning")


@dataclass(frozen=True, slots=True)
class Damage:
    """What one run has found; `record` is its exit record."""

    record: dict[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        names = ("policy", "repository", "command", "job", "time", "run", "found")
        return {name: self.record.get(name) for name in names}

    def __str__(self) -> str:
        told = self.plain
        found = told["found"]
        first = f": {found[0]}" if isinstance(found, list) and found else ""
        whose = told["job"] or told["command"]
        return (
            f"{told['policy']} {told['repository']}: damaged, found by {whose} {told['time']} run {told['run']}{first}"
        )


@dataclass(slots=True)
class Damages:
    """All that stands, in the order in which it was found."""

    _standing: dict[tuple[str, ...], Damage] = field(default_factory=dict)

    def take(self, told: dict[str, Any]) -> None:
        """Take one record."""
        if told["type"] != "exit":
            return
        name = tuple(str(told.get(key)) for key in ("policy", "repository", "command", "job"))
        if told.get("reason") == DAMAGED:
            self._standing[name] = Damage(told)
        elif told.get("outcome") in _GOOD and told.get("reason") != DRY_RUN:
            self._standing.pop(name, None)

    def of(self, policy: str) -> list[Damage]:
        """Return what stands of the repositories of one policy."""
        return [damage for name, damage in self._standing.items() if name[0] == policy]
