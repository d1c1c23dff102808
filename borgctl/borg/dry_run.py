"""What a dry run of `borg create` lists, counted: borg makes no statistics of one, nor does it open the repository.

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
    """Counts of what would be saved and what is left out; `shown`: the list may go on to the peer.

    `counted` is False where a filter of the peer's keeps some of it from us.
    """

    shown: bool
    counted: bool = True
    saved: int = 0
    left_out: int = 0

    def take(self, line: str, disclose: Callable[[str], str | None] | None) -> str | None:
        """Take a line of borg's log; return what of it may be passed on."""
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
    value = json_lines.named(line, "type", "file_status")
    return None if value is None else str(value.get("status"))
