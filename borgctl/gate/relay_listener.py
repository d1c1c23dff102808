"""The relay's way in: it is handed the connection to the server, shows what the server claims, and counts bytes.

One descendant of our borg is let in, once, by the kernel's word of its process (unix(7) SO_PEERCRED). This module does
not know what is agreed to.

    listener = RelayListener(directory, connection, identity.agree); …; listener.answer(borg_pid); …; listener.close()
"""

import array
import contextlib
import os
import select
import socket
from collections.abc import Callable

from borgctl.borg import relay
from borgctl.errors import BorgctlError
from borgctl.gate.transport import Connection
from borgctl.process import peer_credentials, process_tree

_COMPARED = {relay.REPOSITORY: "repository", relay.KEY: "key"}


class RelayListener:
    """Where the relay connects: a socket in a private directory, for one descendant of our borg, once.

    `agree` is asked about what the relay shows before it passes on: `relay.REPOSITORY` and the kinds beside it, with
    32 bytes; it says no, or raises BorgctlError. `identity` is the repository's id, `compared` what of id and key was
    agreed to, `refused` that something was not, `failed` why nobody could tell or what else was wrong, `strange` that
    the server did not speak as a borg server does, `unknown` that borg did not; `counts` are the bytes to the server
    and from it, None as long as the relay has not told them; `relay` is its pid, once it is in.
    """

    def __init__(self, directory: str, connection: Connection, agree: Callable[[bytes, bytes], bool]) -> None:
        self.directory = directory
        self.counts: tuple[int, int] | None = None
        self.identity: bytes | None = None
        self.compared: tuple[str, ...] = ()
        self.refused = False
        self.failed: BorgctlError | None = None
        self.strange = self.unknown = False
        self.relay = 0
        self._agree = agree
        self._connection = connection
        self._fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._listener: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"/proc/self/fd/{self._fd}/{relay.SOCKET}")
        # the relay may be another user; no other comes in here, since the directory is ours with mode 0700
        os.chmod(f"/proc/self/fd/{self._fd}/{relay.SOCKET}", 0o666)  # noqa: S103
        self._listener.listen(1)
        self._relay: socket.socket | None = None

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 where nothing is expected any more."""
        for candidate in (self._listener, self._relay):
            if candidate is not None:
                return candidate.fileno()
        return -1

    def answer(self, borg: int) -> None:
        """Take what came in: the relay, whose ancestor must be the process `borg`; later, its counts."""
        if self._listener is not None:
            self._admit(borg)
        elif self._relay is not None:
            self._hear(self._relay)

    def _hear(self, client: socket.socket) -> None:
        """Take what the relay shows, and answer; or the counts, or the end."""
        try:
            data = client.recv(relay.SHOWN.size)
            if len(data) == relay.SHOWN.size:
                self.refused = True
                if self._agreed(*relay.SHOWN.unpack(data)):
                    self.refused = False
                    client.send(b"y", socket.MSG_DONTWAIT)  # who does not listen is no relay, and not waited for
                    return
        except BorgctlError as error:  # also: what is known could not be read, or the id not be kept
            self.failed = error
        except OSError:
            data = b""  # it was killed
        if len(data) == relay.COUNTS.size:
            sent, received = relay.COUNTS.unpack(data)
            self.strange, self.unknown = bool(sent & relay.STRANGE), bool(sent & relay.UNKNOWN)
            self.counts = (sent & ~(relay.STRANGE | relay.UNKNOWN), received)
        client.close()
        self._relay = None

    def _agreed(self, kind: bytes, shown: bytes) -> bool:
        """Ask, and keep what was compared."""
        if kind == relay.REPOSITORY:
            self.identity = self.identity or shown
        agreed = self._agree(kind, shown)
        if agreed and (name := _COMPARED.get(kind)) and name not in self.compared:
            self.compared += (name,)
        return agreed

    def _admit(self, borg: int) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        pid = peer_credentials.read(client).pid
        if borg not in process_tree.ancestors(pid):
            client.close()
            return
        fds = array.array("i", (self._connection.source, self._connection.sink))
        with contextlib.suppress(ConnectionError):  # it was killed
            client.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        self._listener.close()
        self._listener, self._relay, self.relay = None, client, pid
        os.close(self._connection.sink)  # the server must see the end of file when the relay goes

    def close(self) -> None:
        """Close what is open; read the counts of a relay that has just gone."""
        if self._relay is not None and select.select([self._relay], [], [], 1.0)[0]:
            self.answer(0)
        for candidate in (self._listener, self._relay):
            if candidate is not None:
                candidate.close()
        self._listener = self._relay = None
        os.close(self._fd)
