"""Read from the kernel who is at the other end of a Unix socket (unix(7), SO_PEERCRED). It trusts no peer.

read(connection).pid
"""

import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t; the latter two are unsigned


class PeerCredentials(NamedTuple):
    """The process that connected or listens, and its user and group at that time."""

    pid: int
    uid: int
    gid: int


def read(connection: socket.socket) -> PeerCredentials:
    """Return the credentials of the other end; raise OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(data))
