"""Sort borg's warnings about files into kinds, so that they can be counted without names.

borg 1.4 names its messages; borg 1.2's are told apart by their text, which contains a file's name. So the name at the
beginning must equal the one at the end: no file's name can make a warning look like another kind. It knows no server.

    >>> kind("src/a: open: [Errno 13] Permission denied: 'a'", None)
    'unreadable'
"""

import errno
import os
import re
from collections.abc import Mapping

CHANGED, VANISHED, UNREADABLE, OTHER = KINDS = ("changed", "vanished", "unreadable", "other")
_NAMED = {
    "FileChangedWarning": CHANGED,
    "BackupRaceConditionError": CHANGED,
    "BackupFileNotFoundError": VANISHED,
    "BackupPermissionError": UNREADABLE,
    "BackupIOError": UNREADABLE,
    "BackupOSError": UNREADABLE,
    "BackupError": UNREADABLE,
}
_CHANGED = (  # how borg 1.2's messages about such a file end
    ": file changed while we backed it up",
    ": file type or inode changed while we backed it up (race condition, skipped file)",
)
_ERROR = re.compile(r": (?:[a-z_]{1,40}: )?\[Errno ([0-9]{1,5})\] ")


def kind(text: str, message: str | None) -> str:
    """Return the kind of a warning from its text and its msgid, if it has one."""
    if message is not None:
        return _NAMED.get(message, OTHER)
    if text.endswith(_CHANGED):
        return CHANGED
    number = _error(text)
    return OTHER if number is None else VANISHED if number in (errno.ENOENT, errno.ESTALE) else UNREADABLE


def _error(text: str) -> int | None:
    """Return the errno that borg reports for a file, None where the text reports none."""
    for match in _ERROR.finditer(text):
        number, path = int(match[1]), text[: match.start()]
        reason, name = os.strerror(number), os.path.basename(path)
        if text[match.end() :] in (reason, f"{reason}: {name!r}", f"{reason}: {path!r}"):
            return number
    return None


def counts_text(counts: Mapping[str, int]) -> str:
    """Write counts for people: '703 vanished, 1 changed, 10 unreadable'."""
    return ", ".join(f"{counts[name]} {name}" for name in (VANISHED, CHANGED, UNREADABLE, OTHER) if counts.get(name))
