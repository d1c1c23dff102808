"""Who is at the other end of a Unix socket, as the kernel says (unix(7), SO_PEERCRED), whatever the peer says.

read(connection).pid
"""

import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t; the latter two have no sign


class PeerCredentials(NamedTuple):
    """The process that connected, or that listens, and the user and group that it had then."""

    pid: int
    uid: int
    gid: int


def read(connection: socket.socket) -> PeerCredentials:
    """Return who is at the other end; raise OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(data))
