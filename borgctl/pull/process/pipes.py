"""Pipes: how serve, the guard and the client's side are connected, one function for each transport.

What the client sends goes to the guard, and from there to serve; what serve sends goes to the client. stdio and local:
a socket pair from the client's side to the guard, and two pipes; the launcher keeps no end of them. socket: a listener
in the private workdir, which takes one connection, from our own ssh; it becomes the guard's stdin and serve's stdout.
Nothing here waits.

    ours, peer = cross(starts, start_peer)
    with listen(path) as listener: …                # later: accept(listener, pid, starts)
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from borgctl.process import peer_credentials
from borgctl.pull.process.children import ChildProcess
from borgctl.pull.targets.errors import PullError

Start = Callable[[int, int], ChildProcess]  # from stdin and stdout
_PIPE_SIZE = 1 << 20  # bytes; a pipe has 64 KiB of its own, and one of borg's messages is larger


class Starts(NamedTuple):
    """The functions that start our two processes."""

    guard: Start
    serve: Start


class Ours(NamedTuple):
    """Our two processes."""

    guard: ChildProcess
    serve: ChildProcess


def cross(starts: Starts, peer: Start) -> tuple[Ours, ChildProcess]:
    """Start all three in a ring: the client's side writes to the guard, that one to serve, and serve back.

    The client's side comes first, as it has the longest way to its first byte.
    """
    with _pipe() as (up, from_serve), _sockets() as (from_client, client), ExitStack() as undo:
        started = peer(up, client)
        undo.callback(started.close)
        ours = _start(starts, from_client, from_serve, undo)
        undo.pop_all()
    return ours, started


def _start(starts: Starts, source: int, sink: int, undo: ExitStack) -> Ours:
    """Start guard and serve, the guard reading from `source` and serve writing to `sink`."""
    with _pipe() as (guarded, passed):
        serve = starts.serve(guarded, sink)
        undo.callback(serve.close)
        guard = starts.guard(source, passed)
        undo.callback(guard.close)
    return Ours(guard, serve)


@contextmanager
def _sockets() -> Iterator[tuple[int, int]]:
    """Give a pair of sockets, so that the guard reads from a socket with each transport."""
    first, second = socket.socketpair()
    with first, second:
        yield first.fileno(), second.fileno()


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):  # over the account's limit (pipe(7)): a small pipe is only slower
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
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


def accept(listener: socket.socket, pid: int, starts: Starts) -> Ours | None:
    """Accept the connection of process `pid` and start ours on it; None, and refuse it, for another process."""
    connection, _ = listener.accept()
    with connection, ExitStack() as undo:
        if peer_credentials.read(connection).pid != pid:
            return None
        connection.setblocking(True)
        ours = _start(starts, connection.fileno(), connection.fileno(), undo)
        undo.pop_all()
    return ours
