"""A window, held open: one command of the client's own admin uses the server's repository.

Nothing is started here. A program of the admin's (`borgctl window`) asks for the window on a private socket, is
recorded, and runs borg itself. What the gate hands over is the connection to the server, through the same relay and
with the same look at the repository's id and key as in a run. The window ends with that command, or with its time.

    window = Window(opening, base, directory, connection, output, agree, record); ending = window.run()
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from borgctl.borg import relay
from borgctl.borg.command import WindowGrant
from borgctl.data_class import dataclass, field
from borgctl.errors import BorgctlError
from borgctl.gate.outcome import verdict
from borgctl.gate.output import Output
from borgctl.gate.relay_listener import RelayListener
from borgctl.gate.run_result import RunResult, by_gate
from borgctl.gate.supervise import Watch
from borgctl.gate.transport import Connection
from borgctl.process import peer_credentials
from borgctl.process.peer_credentials import PeerCredentials
from borgctl.state import pins, run_locks, window_protocol
from borgctl.state.repository_identity import RENEWED
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest
from borgctl.wire import frames

# Seconds that the admin's side has to end borg in order (BORG_ENDING takes 30), then it loses the connection.
_TO_END = 40.0
_TO_SPEAK = 5.0  # seconds from a connection to its claim
_TO_GO = 35.0  # seconds that a relay may live after its admin's program: borg was sent TERM by the kernel
_WITHOUT_KEY = ("with-lock",)  # it puts back the manifest that it has got, and can encrypt nothing


@dataclass(slots=True)
class Window:
    """A window and all that it needs; `record` writes to the audit log what a claim says, or raises BorgctlError."""

    opening: WindowGrant
    base: StateDir
    directory: str
    connection: Connection
    output: Output
    agree: Callable[[bytes, bytes], bool]
    record: Callable[[dict[str, Any]], None]
    _renewed: str | None = None
    _status: int | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def run(self) -> RunResult:
        """Wait for a claim, serve it until its command has ended, and return how that was."""
        hangup = self.connection.source if self.connection.hangup else -1
        with self._open, Watch(self.output, self.opening.seconds, hangup, "window-expired") as watch:
            self._tell(frames.OPEN, seconds=self.opening.seconds)
            with contextlib.closing(window_protocol.listen(self.directory)) as listener:
                claimed = self._wait(watch, listener)
                os.unlink(f"{self.directory}/{window_protocol.SOCKET}")
            if claimed is None:
                return _unused(watch.stopped)
            connection, peer, what = claimed
            with connection:
                return self._serve(watch, connection, peer, what)

    def _tell(self, state: str, **values: object) -> None:
        """Tell the server's launcher, in an event of its own, or a person."""
        if self.output.json:
            self.output.event(frames.WINDOW, state=state, **values)
        else:
            self.output.say(f"the window is {state}")

    def _wait(
        self, watch: Watch, listener: socket.socket
    ) -> tuple[socket.socket, PeerCredentials, WindowRequest] | None:
        """Return the first claim that holds; None where the window ends before there is one."""
        while watch.stopped is None:
            if not watch.wait(listener.fileno()):
                continue
            with contextlib.suppress(OSError), ExitStack() as kept:  # it may have gone again
                connection, _ = listener.accept()
                kept.enter_context(connection)
                peer = peer_credentials.read(connection)
                what = self._heard(connection, peer)
                if what is not None and self._grant(connection, peer, what):
                    kept.pop_all()
                    return connection, peer, what
        return None

    def _heard(self, connection: socket.socket, peer: PeerCredentials) -> WindowRequest | None:
        """Return the claim of somebody who may have one: root, or whom the gate runs as."""
        if peer.uid not in (0, os.geteuid()):
            return None
        connection.settimeout(_TO_SPEAK)
        message = window_protocol.receive(connection)
        return None if message is None else WindowRequest.read(message)

    def _grant(self, connection: socket.socket, peer: PeerCredentials, what: WindowRequest) -> bool:
        """Lock the repository and record the claim; a busy repository is an answer, and the window stays open."""
        if what.repository not in (None, self.opening.repository.text):
            window_protocol.send(connection, {"other": self.opening.repository.text})
            return False
        try:
            self._open.enter_context(run_locks.lock_repository(self.base, self.opening.repository))
        except BorgctlError as error:
            window_protocol.send(connection, {"refused": error.reason.code, "detail": error.detail})
            return False
        try:
            self.record({"argv": list(what.argv), "login": what.login, "uid": peer.uid, "pid": peer.pid})
        except BorgctlError as error:
            window_protocol.send(connection, {"refused": error.reason.code, "detail": error.detail})
            raise
        self._tell(frames.USED)
        return True

    def _serve(self, watch: Watch, connection: socket.socket, peer: PeerCredentials, what: WindowRequest) -> RunResult:
        """Let the relay of the admin's borg in, until the admin's program says how borg ended."""
        relay_listener = RelayListener(
            self.directory, self.connection, lambda kind, shown: self._agree(what, kind, shown)
        )
        try:
            granted = {"run": os.path.basename(self.directory), "repository": self.opening.repository.text}
            window_protocol.send(connection, granted)
            self._attend(watch, connection, peer, relay_listener)
            self._part(watch, peer, relay_listener)
        finally:
            relay_listener.close()
        ending = verdict(self._status, relay_listener, watch.stopped, opens=False)
        if ending.outcome in ("ok", "warning") and relay_listener.identity is not None:
            if self._renewed:
                pins.set_pin(self.base, "key", self.opening.repository, self._renewed)
                self._tell(frames.RENEWED)
            pins.delete(self.base, "moved", self.opening.repository)
            window_protocol.send(connection, {"kept": self._renewed is not None})
        return ending

    def _agree(self, what: WindowRequest, kind: bytes, shown: bytes) -> bool:
        if kind == relay.KEY and what.renew:
            self._renewed = shown.hex()
            return self.agree(RENEWED, shown)
        if kind == relay.WRITES and what.argv[1:2] == _WITHOUT_KEY:
            return True
        return self.agree(kind, shown)

    def _attend(
        self, watch: Watch, connection: socket.socket, peer: PeerCredentials, relay_listener: RelayListener
    ) -> None:
        """Serve relay and admin; where the window has to end, say so, and wait as long as borg may take to end."""
        watch.attend(relay_listener, peer.pid)
        last = float("inf")
        while time.monotonic() < last:
            if watch.stopped is not None and last == float("inf"):
                window_protocol.send(connection, {"end": watch.stopped})
                last = time.monotonic() + _TO_END
            if watch.wait(connection.fileno(), last):
                message = window_protocol.receive(connection) or {}
                status = message.get("status")
                self._status = status if isinstance(status, int) and -64 <= status <= 255 else None
                return

    def _part(self, watch: Watch, peer: PeerCredentials, relay_listener: RelayListener) -> None:
        """See that nothing holds the connection any longer: a relay goes with its borg, or is killed."""
        last = time.monotonic() + (_TO_GO if self._status is None and watch.stopped is None else 2.0)
        while relay_listener.relay and relay_listener.fileno() >= 0 and time.monotonic() < last:
            watch.wait(until=last)
        # The relay still holds its end of the connection, so this number is its own.
        if relay_listener.relay and relay_listener.fileno() >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(relay_listener.relay, signal.SIGKILL)


def _unused(reason: str | None) -> RunResult:
    """Return how a window ends that nobody has used: well, where its time is over."""
    return RunResult("ok", "gate", 0) if reason == "window-expired" else by_gate(reason or "internal")
