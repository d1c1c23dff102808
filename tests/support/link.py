"""A link between the two machines that a test can cut, or let lose everything without a word.

with Link(to=sshd.port) as link: … connect to link.port … link.freeze() … link.thaw() … link.cut()
"""

import contextlib
import selectors
import socket
import struct
import threading


class Link:
    """Listens on a port of 127.0.0.1 and carries each connection to another one."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ask, self._asked = socket.socketpair()
        self._other: dict[socket.socket, socket.socket] = {}
        self._frozen = False
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> "Link":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tell(b"x")
        self._thread.join(10)
        for end in (*self._other, self._listener, self._ask, self._asked):
            end.close()

    def cut(self) -> None:
        """Reset every connection, at both ends."""
        self._tell(b"c")

    def freeze(self) -> None:
        """Carry nothing any more, and say nothing about it."""
        self._tell(b"f")

    def thaw(self) -> None:
        """Reset what was frozen; what comes now is carried."""
        self._tell(b"t")

    def _tell(self, word: bytes) -> None:
        self._ask.sendall(word)
        assert self._ask.recv(1) == b"."

    def _carry(self) -> None:
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._asked, selectors.EVENT_READ)
                if not self._frozen:
                    for end in (self._listener, *self._other):
                        selector.register(end, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in selector.select()]
            for end in ready:
                if end is self._asked:
                    word = self._asked.recv(1)
                    self._obey(word)
                    self._asked.sendall(b".")
                    if word == b"x":
                        return
                elif end is self._listener:
                    self._meet()
                elif end in self._other:
                    self._move(end)

    def _obey(self, word: bytes) -> None:
        self._frozen = word == b"f"
        if not self._frozen:
            for end in list(self._other):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()
            self._other.clear()

    def _meet(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._to), 5)
        except OSError:
            near.close()
            return
        self._other |= {near: far, far: near}

    def _move(self, end: socket.socket) -> None:
        """Carry what has come; the other end's buffer is waited for, which slows the sender as a network does."""
        other = self._other[end]
        try:
            data = end.recv(1 << 16)
            if data:
                other.settimeout(5)
                other.sendall(data)
                return
        except OSError:
            pass
        for gone in (end, other):
            self._other.pop(gone, None)
            gone.close()
