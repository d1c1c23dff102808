"""borg in a restore window: the client's admin runs it through a window that a gate holds open.

borg runs here, as a child of the admin's command. It has the admin's terminal (which shows only printable characters),
the gate's environment for borg, and the gate's relay as its remote shell. We end borg, by the same signals as in a run,
when the gate says that the window ends, when the gate is gone, or when a signal tells us to end.

    with enter(policy, WindowRequest(("borg", "list")), wait=15) as session: status = session.borg(["list"], secret)
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from socket import socket
from typing import IO

import typer

from borgctl.borg import command_line, environment, relay
from borgctl.cli.common.sanitize import SanitizedOutput
from borgctl.cli.window import borg_process
from borgctl.cli.window.mounts import Mount, in_foreground
from borgctl.cli.window.request_window import request_window
from borgctl.errors import BorgctlError
from borgctl.policy.locations import home
from borgctl.policy.model import Policy
from borgctl.process.event_loop import Signals, Termination
from borgctl.process.hook_environment import hook_environment
from borgctl.process.spawn import Confinement
from borgctl.reasons import REASONS
from borgctl.state import borg_version, passphrase, pins, window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest
from borgctl.values import RepositoryPath

WAIT = 15.0  # seconds: between two commands the server opens the next window


@dataclass(slots=True)
class WindowSession:
    """A window that the gate has given us.

    `ended` is the reason why borg had to end, if there is one. `asked_to_end`: a signal has asked us to, in time for
    borg or too late. `key_pinned`: the gate has pinned a changed key (`WindowRequest.renew`).
    """

    policy: Policy
    base: StateDir
    repository: RepositoryPath
    directory: str
    connection: socket
    ended: str | None = None
    asked_to_end: bool = False
    key_pinned: bool = False

    def step(
        self,
        words: Sequence[str],
        secret: bytes | None,
        *,
        given: bytes = b"",
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> int:
        """Run borg without a terminal as one step of several; raise BorgctlError where a signal has asked us to end.

        It may have come too late for this borg, which then has succeeded. But no other step may follow.
        """
        status = self.borg(words, secret, given=given, stdout=stdout, stderr=stderr)
        if self.asked_to_end:
            last = f"'borg {' '.join(words)}' ended with status {status}"
            raise BorgctlError("stopped", f"a signal asked to end: {last}, and no other step followed", "call it again")
        return status

    def borg(
        self,
        words: Sequence[str],
        secret: bytes | None,
        *,
        given: bytes | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> int:
        """Run borg with these words and report its end to the gate; return its exit status, or minus a signal's number.

        `secret` is the passphrase; with None borg asks for it. With `given`, bytes for its stdin, borg has no terminal.
        """
        env = self._env()
        borg_version.version(self.base, self.policy.borg, env, Confinement())  # refuses one that others can replace
        fds = [] if secret is None else [passphrase.pipe(secret)]
        carrier = (sys.executable, "-I", "-S", relay.__file__, self.directory)
        env = environment.with_transport(env, carrier, fds[0] if fds else None)
        mount, shown = Mount.of_command(words), (SanitizedOutput(stdout, 1), SanitizedOutput(stderr, 2))
        asking = {signal.SIGTERM, signal.SIGHUP} | (set() if given is None else {signal.SIGINT})
        with Signals(signal.SIGTERM, signal.SIGHUP, signal.SIGINT, keep_ignored=[signal.SIGHUP]) as signals:
            argv = [self.policy.borg, *in_foreground(words)]
            process = borg_process.start(argv, env, fds, given, shown)
            undo = partial(mount.undo, self.policy.borg, env) if mount is not None else lambda: None
            status = borg_process.wait(process, signals, asking, self.connection, undo, self._end)
            if mount is not None:
                mount.undo(self.policy.borg, env, lazily=True)  # a borg that was killed has left its mount
            for stream in shown:
                stream.finish()
        self.asked_to_end |= not asking.isdisjoint(signals.received)
        window_protocol.send(self.connection, {"status": status})
        while self.ended is None and (message := window_protocol.receive(self.connection)) is not None:
            self.key_pinned |= message.get("kept") is True
        return status

    def _env(self) -> dict[str, str]:
        """Return the gate's environment for borg, with the admin's terminal and local time."""
        moved = bool(pins.note(self.base, "moved", self.repository))
        chosen = self.policy.environment.set
        env = environment.borg_environment(
            self.base.borg, f"{self.directory}/tmp", self.base.host_id(), chosen, relocated=moved
        )
        if "TZ" not in dict(chosen):
            del env["TZ"]
        if not self.base.require_own_borg():  # root's borg must not read a cache that a borg in the sandbox can write
            env["BORG_CACHE_DIR"] = f"{self.directory}/tmp/cache"
        own = {name: os.environ[name] for name in ("TERM", "TZ") if name in os.environ}
        return {**own, **env, "BORG_REPO": command_line.location(self.repository), "BORG_DISPLAY_PASSPHRASE": "no"}

    def _end(self, code: object, termination: Termination) -> None:
        """Begin to end borg; print and store the first reason."""
        reason = REASONS[code if isinstance(code, str) and code in REASONS else "disconnected"]
        first, self.ended = self.ended is None, self.ended or reason.code
        termination.begin()
        if first:
            with contextlib.suppress(OSError):  # the admin's terminal may have gone
                typer.echo(f"borgctl: ending borg: {reason.code}", err=True)


def secret_of(policy: Policy) -> bytes | None:
    """Return the policy's passphrase, None where it has none."""
    return passphrase.obtain(policy.passphrase, hook_environment(home(), None, ""))


@contextlib.contextmanager
def enter(policy: Policy, what: WindowRequest, wait: float = WAIT) -> Iterator[WindowSession]:
    """Ask for a window of this policy, and wait up to `wait` seconds for one."""
    base = StateDir.open(policy.base)  # on a new machine no gate has made it yet
    try:
        granted, connection = request_window(base, what, wait)
        with connection:
            directory = f"{base.path}/runs/{granted['run']}"
            yield WindowSession(policy, base, RepositoryPath(granted["repository"]), directory, connection)
    finally:
        os.close(base.fd)


@contextlib.contextmanager
def memory() -> Iterator[IO[bytes]]:
    """Return a file in memory, on no disk, for borg's output."""
    with os.fdopen(os.memfd_create("borg", os.MFD_CLOEXEC), "w+b") as file:
        yield file
