"""Count what a dry run of `borg create` lists: borg makes no statistics then, and does not open the repository.

>>> listed = DryRun(shown=False)
>>> listed.take('{"type": "file_status", "status": "-", "path": "/etc"}', None)
>>> listed.saved
1
"""

from collections.abc import Callable

from borgctl.borg import json_lines
from borgctl.data_class import dataclass

_SAVED, _LEFT_OUT = "-", "x"


@dataclass(slots=True)
class DryRun:
    """Counts of what would be saved and left out; `shown`: the peer may see the list.

    `counted` is False where the peer's filter hides some of it from us.
    """

    shown: bool
    counted: bool = True
    saved: int = 0
    left_out: int = 0

    def take(self, line: str, disclose: Callable[[str], str | None] | None) -> str | None:
        """Count a line of borg's log; return what the peer may see of it."""
        status = _status(line)
        if status is None:
            return disclose(line) if disclose else line
        self.saved += status == _SAVED
        self.left_out += status == _LEFT_OUT
        return line if self.shown else None

    def __str__(self) -> str:
        counts = f"; {self.saved} files and directories would be saved, {self.left_out} are left out"
        return f"dry run: nothing is saved, and the repository is not opened{counts if self.counted else ''}"


def _status(line: str) -> str | None:
    """Return a listed file's status letter, None for any other line."""
    value = json_lines.read(line, "type", "file_status")
    return None if value is None else str(value.get("status"))
