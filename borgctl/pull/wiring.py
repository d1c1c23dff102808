"""Wiring: how serve and the client's side are connected, one function for each transport.

stdio and local: two pipes, of which the launcher keeps no end. socket: a listener in the private room, which takes one
connection, from our own ssh, and becomes serve's stdin and stdout. Nothing here waits.

    first, second = cross(start_serve, start_peer)
    with listen(path) as listener: …                # later: accept(listener, pid, start_serve)
"""

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from borgctl.pull.children import Child
from borgctl.pull.errors import PullError

Start = Callable[[int, int], Child]  # from stdin and stdout
_ROOM = 1 << 20  # bytes; a pipe has 64 KiB of its own, and one of borg's messages is larger


def cross(serve: Start, peer: Start) -> tuple[Child, Child]:
    """Start both, each one's stdout the other one's stdin."""
    with _pipe() as (up, from_serve), _pipe() as (down, from_peer):
        first = serve(down, from_serve)
        try:
            return first, peer(up, from_peer)
        except BaseException:
            first.close()
            raise


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):  # over the account's limit (pipe(7)): a small pipe is only slower
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _ROOM)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def listen(path: str) -> socket.socket:
    """Listen on a new unix socket."""
    if len(path) > 107:
        raise PullError(f"socket path {path!r} is longer than 107 bytes (unix(7))", "use a shorter --state-dir")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(1)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def accept(listener: socket.socket, pid: int, serve: Start) -> Child | None:
    """Take the connection of process `pid` and start serve on it; None if it was somebody else, who is turned away."""
    connection, _ = listener.accept()
    with connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[0] != pid:
            return None
        connection.setblocking(True)
        return serve(connection.fileno(), connection.fileno())
