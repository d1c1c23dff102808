"""borg's log, heard line by line: the warnings about files are counted, and damage of the repository is noticed.

What borg passes on of the server's words begins with "Remote: ": kept with what was found, it counts for nothing.
There are numbers and a few lines here; paths go to whoever wants to keep them.

    >>> log = BorgLog("create", lambda *_: None)
    >>> log.take('{"type": "log_message", "levelname": "WARNING", "message": "/a: file changed while we backed it up"}')
    'changed'
"""

import re
from collections.abc import Callable
from typing import Any

from borgctl.borg import json_lines
from borgctl.borg.warning_kinds import kind
from borgctl.data_class import dataclass, field

DAMAGED = "repository-damaged"
_MOST_FOUND = 5  # lines
_LONGEST_FOUND = 300  # characters
_REMOTE = "Remote: "
_FULL = re.compile(r"(?m)^OSError: \[Errno (?:28|122)\] ")  # in a trace of borg's own: ENOSPC, EDQUOT
# borg's names for what it says where an object is not there, or is not what it was when it was stored
_DAMAGE = frozenset(("IntegrityError", "DecompressionError", "Repository.ObjectNotFound", "Repository.CheckNeeded"))


@dataclass(slots=True)
class BorgLog:
    """What was heard of one borg; `keep` is given kind and text of each warning of `create`, which alone reads files.

    `found` holds the first errors, for our own log.
    """

    command: str
    keep: Callable[[str, str], None]
    warnings: dict[str, int] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    _damage: bool = False
    _full: bool = False

    def take(self, line: str) -> str | None:
        """Take a line of borg's stderr; return the kind of the warning that it is, None where it is none."""
        message = _message(line)
        match message and message.get("levelname"):
            case "WARNING" if self.command == "create" and not message["message"].startswith(_REMOTE):
                return self._count(message)
            case "ERROR" | "CRITICAL":
                self._note(message)
        return None

    def reason(self, status: int) -> str | None:
        """Return why a borg that ended with this status is no success, where it has said so: 1 is check's own word."""
        if status <= 1:
            return DAMAGED if self.command == "check" and status == 1 else None
        return DAMAGED if self._damage else "no-space" if self._full else None

    def _count(self, message: dict[str, Any]) -> str:
        found = kind(message["message"], message.get("msgid"))
        self.warnings[found] = self.warnings.get(found, 0) + 1
        self.keep(found, message["message"])
        return found

    def _note(self, message: dict[str, Any]) -> None:
        text = message["message"]
        if not text.startswith(_REMOTE):
            self._damage = self._damage or message.get("msgid") in _DAMAGE
            ours = message.get("msgid") is None  # a trace of the server's has the name of what went wrong there
            self._full = self._full or (ours and _FULL.search(text) is not None)
        if len(self.found) < _MOST_FOUND and not text.startswith("Traceback "):
            self.found.append(text[:_LONGEST_FOUND])


def _message(line: str) -> dict[str, Any]:
    """Return a message of borg's log whose text and name are texts, else nothing."""
    value = json_lines.named(line, "type", "log_message")
    known = value is not None and isinstance(value.get("message"), str)
    return value if value and known and isinstance(value.get("msgid"), (str, type(None))) else {}
