"""Serve socket: with transport socket, where the connection of our own ssh arrives, which leads to guard and serve.

opening = ServeSocket(call.listen, loop)
opening.await_connection(ssh.pid, starts, connected, defect)         # connected(ours), once
… opening.close()
"""

import os
import socket
from collections.abc import Callable
from functools import partial

from borgctl.process.event_loop import EventLoop
from borgctl.pull.process import pipes
from borgctl.pull.run.defect import Defect


class ServeSocket:
    """A socket that listens until the one connection has come, or until it is closed."""

    def __init__(self, path: str, loop: EventLoop) -> None:
        self._path, self._loop = path, loop
        self._listener: socket.socket | None = pipes.listen(path)

    def await_connection(
        self, pid: int, starts: pipes.Starts, connected: Callable[[pipes.Ours], object], defect: Defect
    ) -> None:
        """Start guard and serve on the first connection of process `pid`, and hand them to `connected`."""
        assert self._listener is not None
        accept = partial(self._accept, self._listener, pid, starts, connected)
        self._loop.watch(self._listener.fileno(), defect.noting(accept))

    def _accept(
        self, listener: socket.socket, pid: int, starts: pipes.Starts, connected: Callable[[pipes.Ours], object]
    ) -> None:
        ours = pipes.accept(listener, pid, starts)
        if ours is not None:
            self.close()
            connected(ours)

    def close(self) -> None:
        """Listen no longer, and remove the socket: the next job of this launcher listens there."""
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None
            os.unlink(self._path)
