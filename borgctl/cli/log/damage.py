"""The damage that borg has found in a repository, from the audit log: it stands until the same job ends well again.

Jobs that make archives end well although other objects are damaged: only the job that found the damage takes it back.
So does a check with --max-duration, which goes on where the last one stopped: a whole check takes back what it found.

    damages = Damages(); damages.take(record); damages.of("/etc/borgctl/web1.yaml")
"""

from dataclasses import dataclass, field
from typing import Any

from borgctl.borg.log_messages import DAMAGED
from borgctl.wire.frames import DRY_RUN, GOOD

_NAMES = ("policy", "repository", "command", "job")


@dataclass(frozen=True, slots=True)
class Damage:
    """What one run has found; `record` is its exit record; `partial`: it was a check of a part of the repository."""

    record: dict[str, Any]
    partial: bool = False

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        names = ("policy", "repository", "command", "job", "time", "run", "found")
        return {name: self.record.get(name) for name in names}

    def __str__(self) -> str:
        values = self.plain
        lines = values["found"]
        first = f": {lines[0]}" if isinstance(lines, list) and lines else ""
        where, finder = f"{values['policy']} {values['repository']}", values["job"] or values["command"]
        return f"{where}: damaged, found by {finder} {values['time']} run {values['run']}{first}"


@dataclass(slots=True)
class Damages:
    """All damage that stands, in the order in which it was found."""

    _standing: dict[tuple[str, ...], Damage] = field(default_factory=dict)
    _checks: dict[str, str] = field(default_factory=dict)  # the command lines of checks that have not ended, by run

    def take(self, record: dict[str, Any]) -> None:
        """Take one record."""
        if record["type"] == "accept" and record.get("command") == "check":
            self._checks[str(record.get("run"))] = str(record.get("argv"))
        if record["type"] != "exit":
            return
        argv = self._checks.pop(str(record.get("run")), "")
        name, partial = tuple(str(record.get(key)) for key in _NAMES), "--max-duration=" in argv
        if record.get("reason") == DAMAGED:
            self._standing[name] = Damage(record, partial)
        elif record.get("outcome") in GOOD and record.get("reason") != DRY_RUN and not partial:
            self._standing.pop(name, None)
            if argv and "--archives-only" not in argv:
                self._forget_partial(name)

    def _forget_partial(self, whole: tuple[str, ...]) -> None:
        """Take back what partial checks have found in the repository that this check saw whole."""
        for name in [name for name, damage in self._standing.items() if damage.partial and name[:-1] == whole[:-1]]:
            del self._standing[name]

    def of(self, policy: str) -> list[Damage]:
        """Return the damage that stands in the repositories of one policy."""
        return [damage for name, damage in self._standing.items() if name[0] == policy]
