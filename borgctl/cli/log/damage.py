"""Damage that borg has found in a repository, from the audit log: it stands until the same job ends well again.

A job that makes archives can go well beside objects that are damaged: only the one that has found them takes it back.
So can a check with --max-duration, which begins behind what the last one has seen: a whole one takes back its finds.

    damages = Damages(); damages.take(record); damages.of("/etc/borgctl/web1.yaml")
"""

from dataclasses import dataclass, field
from typing import Any

from borgctl.borg.log_messages import DAMAGED
from borgctl.wire.frames import DRY_RUN, GOOD

_NAMES = ("policy", "repository", "command", "job")


@dataclass(frozen=True, slots=True)
class Damage:
    """What one run has found; `record` is its exit record; `part`: it was a check of a part of the repository."""

    record: dict[str, Any]
    part: bool = False

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
    _asked: dict[str, str] = field(default_factory=dict)  # the words of checks that have not ended, by run

    def take(self, told: dict[str, Any]) -> None:
        """Take one record."""
        if told["type"] == "accept" and told.get("command") == "check":
            self._asked[str(told.get("run"))] = str(told.get("argv"))
        if told["type"] != "exit":
            return
        words = self._asked.pop(str(told.get("run")), "")
        name, part = tuple(str(told.get(key)) for key in _NAMES), "--max-duration=" in words
        if told.get("reason") == DAMAGED:
            self._standing[name] = Damage(told, part)
        elif told.get("outcome") in GOOD and told.get("reason") != DRY_RUN and not part:
            self._standing.pop(name, None)
            if words and "--archives-only" not in words:
                self._forget_parts(name)

    def _forget_parts(self, whole: tuple[str, ...]) -> None:
        """Take back what checks of a part have found in the repository of this check of all of it."""
        for name in [name for name, damage in self._standing.items() if damage.part and name[:-1] == whole[:-1]]:
            del self._standing[name]

    def of(self, policy: str) -> list[Damage]:
        """Return what stands of the repositories of one policy."""
        return [damage for name, damage in self._standing.items() if name[0] == policy]
