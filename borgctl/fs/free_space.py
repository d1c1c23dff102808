"""Free space on our own disk: notice a full file system before a run, and when a write fails.

It does not know what is written.

    >>> write_error("log-unusable", "/var/log/borgctl/audit.jsonl", OSError(errno.ENOSPC, "full")).reason.code
    'no-space'
"""

import errno
import os
from collections.abc import Iterable

from borgctl.errors import BorgctlError
from borgctl.reasons import Code

LEAST = 1 << 20  # bytes that borg's cache and the next records need
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_error(code: Code, path: str, error: Exception) -> BorgctlError:
    """Return the error for a failed write: reason 'no-space' where the disk is full, else `code`."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    full = isinstance(error, OSError) and error.errno in _FULL
    return BorgctlError("no-space" if full else code, f"{path!r}: {text}")


def require(directories: Iterable[str]) -> None:
    """Raise BorgctlError for the first of these directories whose file system is full; skip a missing directory."""
    for directory in directories:
        try:
            status = os.statvfs(directory)
        except OSError:
            continue
        if (left := status.f_bavail * status.f_frsize) < LEAST:
            raise BorgctlError("no-space", f"{directory!r}: only {left} bytes are free on its file system")
