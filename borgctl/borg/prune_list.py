"""Count the archives that `borg prune --list` keeps, and those that it marks as deleted.

The names are for our own record. The server gets the numbers, and borg's lines where the policy discloses them.

    >>> pruning = Pruning(shown=False, dry=False)
    >>> pruning.take('{"name": "borg.output.list", "message": "Keeping archive (rule: daily #1): a"}', None)
    >>> str(pruning)
    'kept 1, marked 0'
"""

import json
import re
from collections.abc import Callable

from borgctl.borg import json_lines
from borgctl.data_class import dataclass, field

# borg 1.2 and 1.4: the action, the archive's name, its time, its id
_LINE = re.compile(
    r"(?:(?P<kept>Keeping (?:checkpoint )?archive(?: \(rule: [^)]*\))?)|Pruning archive \([0-9/]+\)|Would prune):"
    r"\s+(?P<name>.+?)(?:\s+[A-Z][a-z]{2}, [0-9-]+ [0-9:]+ \[[0-9a-f]{64}\])?\s*",
    re.DOTALL,
)
_MOST_NAMED = 3 * 1024  # characters of names in a record


@dataclass(slots=True)
class ArchiveCount:
    """The number of archives, and the first of their names, as many as a record has room for."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    _room: int = _MOST_NAMED

    def add(self, name: str) -> None:
        """Count an archive, and keep its name while there is room."""
        self.count += 1
        self._room -= len(json.dumps(name)) + 2
        if self._room >= 0:
            self.first.append(name)

    @property
    def named(self) -> list[str]:
        """Return the names, and how many more there are."""
        more = self.count - len(self.first)
        return [*self.first, f"and {more} more"] if more else self.first


@dataclass(slots=True)
class Pruning:
    """The archives kept and marked; `shown`: the peer may see borg's lines; `dry`: nothing was marked."""

    shown: bool
    dry: bool
    kept: ArchiveCount = field(default_factory=ArchiveCount)
    marked: ArchiveCount = field(default_factory=ArchiveCount)

    def take(self, line: str, disclose: Callable[[str], str | None] | None) -> str | None:
        """Count a line of borg's log; return what the peer may see of it."""
        archive = _read(line)
        if archive is None:
            return disclose(line) if disclose else line
        (self.kept if archive["kept"] else self.marked).add(archive["name"])
        return line if self.shown else None

    @property
    def empty(self) -> bool:
        """Tell whether there was no archive."""
        return not self.kept.count and not self.marked.count

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers for the server; none where nothing was done."""
        return {} if self.dry else {"kept": self.kept.count, "marked": self.marked.count}

    @property
    def record(self) -> dict[str, object]:
        """Return the entry for our own log."""
        return {"said": str(self), "kept": self.kept.named, "marked": self.marked.named}

    def __str__(self) -> str:
        if self.dry:
            return f"dry run: it would keep {self.kept.count} archives and mark {self.marked.count}; none is marked"
        return f"kept {self.kept.count}, marked {self.marked.count}"


def _read(line: str) -> re.Match[str] | None:
    """Return the action and name in a line about an archive, None for any other line."""
    value = json_lines.read(line, "name", "borg.output.list")
    return None if value is None else _LINE.fullmatch(str(value.get("message")))
