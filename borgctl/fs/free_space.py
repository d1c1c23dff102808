"""Room on our own disk: what tells that a file system is full, before a run and when something could not be written.

>>> unwritten("log-unusable", "/var/log/borgctl/audit.jsonl", OSError(errno.ENOSPC, "full")).reason.code
'no-space'
"""

import errno
import os
from collections.abc import Iterable

from borgctl.errors import BorgctlError, Code

LEAST = 1 << 20  # bytes: below that neither borg's cache nor many records have room
_FULL = (errno.ENOSPC, errno.EDQUOT)


def unwritten(code: Code, path: str, error: Exception) -> BorgctlError:
    """Return what to say where a file could not be written: 'no-space' where that is why, else the reason `code`."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    full = isinstance(error, OSError) and error.errno in _FULL
    return BorgctlError("no-space" if full else code, f"{path!r}: {text}")


def require(directories: Iterable[str]) -> None:
    """Raise BorgctlError for the first of these directories whose file system is full; what is not there is not."""
    for directory in directories:
        try:
            found = os.statvfs(directory)
        except OSError:
            continue
        if (left := found.f_bavail * found.f_frsize) < LEAST:
            raise BorgctlError("no-space", f"{directory!r}: only {left} bytes are free on its file system")
