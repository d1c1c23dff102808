"""Kinds of borg's warnings about files: what of a backup is not as it stood on the disk, counted without names.

borg 1.4 names its messages; for borg 1.2 the text is read, of which a file's name is a part. So the name that stands at
its beginning must be the one that stands at its end: no file's name can make another warning of its own.

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
_CHANGED = (  # how borg 1.2 ends what it says of such a file
    ": file changed while we backed it up",
    ": file type or inode changed while we backed it up (race condition, skipped file)",
)
_ERROR = re.compile(r": (?:[a-z_]{1,40}: )?\[Errno ([0-9]{1,5})\] ")


def kind(text: str, message: str | None) -> str:
    """Return the kind of a warning from its text and borg's name for the message, where it has one."""
    if message is not None:
        return _NAMED.get(message, OTHER)
    if text.endswith(_CHANGED):
        return CHANGED
    number = _error(text)
    return OTHER if number is None else VANISHED if number in (errno.ENOENT, errno.ESTALE) else UNREADABLE


def _error(text: str) -> int | None:
    """Return the number of the system's error that borg met at a file, None where it tells of none."""
    for found in _ERROR.finditer(text):
        number, path = int(found[1]), text[: found.start()]
        told, name = os.strerror(number), os.path.basename(path)
        if text[found.end() :] in (told, f"{told}: {name!r}", f"{told}: {path!r}"):
            return number
    return None


def written(counts: Mapping[str, int]) -> str:
    """Write counts for people: '703 vanished, 1 changed, 10 unreadable'."""
    return ", ".join(f"{counts[one]} {one}" for one in (VANISHED, CHANGED, UNREADABLE, OTHER) if counts.get(one))
