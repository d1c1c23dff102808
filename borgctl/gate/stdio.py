"""The gate's first act: put the descriptors where nothing can mistake them.

Fds 0 and 1 of a forced command carry borg's protocol. They move to close-on-exec descriptors above 2; /dev/null
becomes 0 and 2 is copied onto 1. So what the peer sends is nobody's stdin (borg once took a passphrase from there),
and what a program prints never enters the protocol.
"""

import contextlib
import fcntl
import os

from borgctl.data_class import dataclass


@dataclass(frozen=True, slots=True)
class ProtocolFds:
    """The former fds 0 and 1: from the server, to the server."""

    source: int
    sink: int


def take() -> ProtocolFds:
    """Move the descriptors; one of 0, 1, 2 that was closed is opened on /dev/null first. Set the umask to 077."""
    os.umask(0o077)
    for fd in range(3):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            continue
        os.open("/dev/null", os.O_RDWR)  # takes the lowest free number: this one
    source, sink = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return ProtocolFds(source, sink)
