"""Read borg's log line by line: count warnings about files, and notice a damaged repository or a full disk.

Messages that borg passes on from the server begin with "Remote: ": they are listed as errors, but prove nothing. This
module holds numbers and a few lines; it passes paths to `keep` and stores none.

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
_MOST_ERRORS = 5  # lines
_LONGEST_ERROR = 300  # characters
_REMOTE = "Remote: "
_FULL = re.compile(r"(?m)^OSError: \[Errno (?:28|122)\] ")  # in borg's own traceback: ENOSPC, EDQUOT
# borg's names for messages about an object that is missing, or not as it was stored
_DAMAGE = frozenset(("IntegrityError", "DecompressionError", "Repository.ObjectNotFound", "Repository.CheckNeeded"))


@dataclass(slots=True)
class BorgLog:
    """The log of one borg. `keep` gets kind and text of each warning of `create`, the only command that reads files.

    `errors` holds the first errors, for our own log.
    """

    command: str
    keep: Callable[[str, str], None]
    warnings: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _damage: bool = False
    _full: bool = False

    def take(self, line: str) -> str | None:
        """Take a line of borg's stderr; return the kind of warning that it is, None where it is none."""
        message = _message(line)
        match message and message.get("levelname"):
            case "WARNING" if self.command == "create" and not message["message"].startswith(_REMOTE):
                return self._count(message)
            case "ERROR" | "CRITICAL":
                self._note(message)
        return None

    def reason(self, status: int) -> str | None:
        """Return the reason code that borg's messages give for this exit status, else None; `check` ends with 1."""
        if status <= 1:
            return DAMAGED if self.command == "check" and status == 1 else None
        return DAMAGED if self._damage else "no-space" if self._full else None

    def _count(self, message: dict[str, Any]) -> str:
        warning = kind(message["message"], message.get("msgid"))
        self.warnings[warning] = self.warnings.get(warning, 0) + 1
        self.keep(warning, message["message"])
        return warning

    def _note(self, message: dict[str, Any]) -> None:
        text = message["message"]
        if not text.startswith(_REMOTE):
            self._damage = self._damage or message.get("msgid") in _DAMAGE
            ours = message.get("msgid") is None  # a traceback of the server has a msgid
            self._full = self._full or (ours and _FULL.search(text) is not None)
        if len(self.errors) < _MOST_ERRORS and not text.startswith("Traceback "):
            self.errors.append(text[:_LONGEST_ERROR])


def _message(line: str) -> dict[str, Any]:
    """Return a log message of borg whose text and msgid are strings, else an empty one."""
    value = json_lines.read(line, "type", "log_message")
    valid = value is not None and isinstance(value.get("message"), str)
    return value if value and valid and isinstance(value.get("msgid"), (str, type(None))) else {}
