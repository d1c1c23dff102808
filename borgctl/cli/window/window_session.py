"""A visit: the client's admin runs borg through a window that a gate holds open.

borg runs here, as the admin's own child with the admin's terminal (where only what is printable is shown), with the
gate's environment for borg and with the gate's relay as its remote shell. When the gate says that the window ends, is
gone, or when we are told to end, borg is ended in the same order as in a run.

    with enter(policy, WindowRequest(("borg", "list")), wait=15) as visit: status = visit.borg(["list"], secret)
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from socket import socket
from typing import IO

import typer

from borgctl.borg import command_line, environment, relay
from borgctl.borg.forbidden import COMMANDS as FORBIDDEN
from borgctl.borg.options import COMMANDS
from borgctl.cli.common.sanitize import Shown
from borgctl.cli.window.mounts import Mount
from borgctl.errors import REASONS, BorgctlError
from borgctl.gate.supervise import BORG_ENDING
from borgctl.policy.locations import home
from borgctl.policy.model import Policy
from borgctl.process import parent_death
from borgctl.process.event_loop import EventLoop, Signals, Termination
from borgctl.process.spawn import Wall
from borgctl.state import borg_version, passphrase, window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest
from borgctl.values import RepositoryPath

WAIT = 15.0  # seconds: between two commands the server opens the next window
_EVERY = 0.2
_TO_ANSWER = 30.0  # seconds: the gate writes a record first
_FOREGROUND = {"mount": "--foreground"}  # what goes on in the background would outlive its window
_SUBCOMMANDS = COMMANDS.keys() | FORBIDDEN.keys()
_SHUT = "no window is open"
_HINT = "on the server: borgpull window TARGET --for 30m"


@dataclass(slots=True)
class Visit:
    """A window that is ours. `ended` is the reason why borg had to end, once there is one; `kept`: see `claim`."""

    policy: Policy
    base: StateDir
    repository: RepositoryPath
    directory: str
    connection: socket
    ended: str | None = None
    kept: bool = False

    def borg(
        self,
        words: Sequence[str],
        secret: bytes | None,
        *,
        given: bytes | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> int:
        """Run borg with these words and tell the gate how it ended; return its status, minus a signal's number.

        `secret` is the passphrase, None where borg is to ask for it. With `given`, bytes for its stdin, borg has no
        terminal to ask on.
        """
        env = self._env()
        borg_version.version(
            self.base, self.policy.borg, env, Wall()
        )  # refuses a borg that another user could have put there
        fds = [] if secret is None else [passphrase.pipe(secret)]
        carrier = (sys.executable, "-I", "-S", relay.__file__, self.directory)
        env = environment.carried(env, carrier, fds[0] if fds else None)
        mount, shown = _mounting(words), (Shown(stdout, 1), Shown(stderr, 2))
        with Signals(signal.SIGTERM, signal.SIGHUP, signal.SIGINT, keep_ignored=[signal.SIGHUP]) as signals:
            try:
                process = subprocess.Popen(
                    [self.policy.borg, *_in_foreground(words)],
                    env=env,
                    pass_fds=fds,
                    stdin=None if given is None else subprocess.PIPE,
                    stdout=shown[0].target,
                    stderr=shown[1].target,
                    start_new_session=given is not None,
                    preexec_fn=partial(parent_death.end_with, os.getpid()),  # noqa: PLW1509 - there are no threads
                )
            except OSError as error:
                raise BorgctlError("borg-missing", f"{self.policy.borg!r}: {error.strerror}") from None
            finally:
                for fd in fds:
                    os.close(fd)
                for stream in shown:
                    stream.begin()
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                    stdin.write(given or b"")
            undo = partial(mount.undo, self.policy.borg, env) if mount is not None else None
            status = self._wait(process, signals, undo)
            if mount is not None:
                mount.undo(self.policy.borg, env, lazily=True)  # a borg that was killed has left it
            for stream in shown:
                stream.finish()
        window_protocol.send(self.connection, {"status": status})
        while self.ended is None and (message := window_protocol.receive(self.connection)) is not None:
            self.kept |= message.get("kept") is True
        return status

    def _env(self) -> dict[str, str]:
        """Return the gate's environment for borg, with the admin's terminal and local time."""
        moved = bool(self.base.noted("moved", self.repository))
        chosen = self.policy.environment.set
        env = environment.borg_environment(
            self.base.borg, f"{self.directory}/tmp", self.base.host_id(), chosen, relocated=moved
        )
        if "TZ" not in dict(chosen):
            del env["TZ"]
        if not self.base.require_own_borg():  # what a borg in the sandbox has written there is no good cache for root's
            env["BORG_CACHE_DIR"] = f"{self.directory}/tmp/cache"
        own = {name: os.environ[name] for name in ("TERM", "TZ") if name in os.environ}
        return {**own, **env, "BORG_REPO": command_line.location(self.repository), "BORG_DISPLAY_PASSPHRASE": "no"}

    def _wait(self, process: "subprocess.Popen[bytes]", signals: Signals, mount: Callable[[], None] | None) -> int:
        """Wait for borg's end, and bring it about where the window ends or a signal comes.

        SIGINT is borg's business, as the terminal sends it to both of us; but a mounted borg does not heed it, and ends
        by being unmounted.
        """
        unmount = mount or (lambda: None)
        loop, pidfd = EventLoop(), os.pidfd_open(process.pid)
        termination = Termination(loop, partial(_tell, process), BORG_ENDING, unmount)

        def heed() -> None:
            taken = signals.take()
            if signal.SIGTERM in taken or signal.SIGHUP in taken:
                self._end("stopped", termination)
            elif taken:
                unmount()

        def hear() -> None:
            self._end((window_protocol.receive(self.connection) or {}).get("end"), termination)

        try:
            loop.once(pidfd, loop.clear)  # the others are of no interest then
            loop.watch(signals.fd, heed)
            loop.once(self.connection.fileno(), hear)
            while loop.watches(pidfd):
                loop.turn()
            return process.wait()
        finally:
            os.close(pidfd)

    def _end(self, code: object, termination: Termination) -> None:
        """Begin to end borg; keep the first reason why, and say it."""
        reason = REASONS[code if isinstance(code, str) and code in REASONS else "disconnected"]
        if self.ended is None:
            typer.echo(f"borgctl: borg is told to end: {reason.code}", err=True)
        self.ended = self.ended or reason.code
        termination.begin()


def secret_of(policy: Policy) -> bytes | None:
    """Return the policy's passphrase, None where it has none."""
    return passphrase.obtain(policy.passphrase, environment.hook_environment(home(), None, ""))


@contextlib.contextmanager
def enter(policy: Policy, what: WindowRequest, wait: float = WAIT) -> Iterator[Visit]:
    """Claim a window of this policy, waiting for one if need be."""
    base = StateDir.open(policy.base)  # on a new machine no gate has made it yet
    try:
        granted, connection = _granted(base, what, wait)
        with connection:
            directory = f"{base.path}/runs/{granted['run']}"
            yield Visit(policy, base, RepositoryPath(granted["repository"]), directory, connection)
    finally:
        os.close(base.fd)


@contextlib.contextmanager
def memory() -> Iterator[IO[bytes]]:
    """Return a file that is on no disk, for what borg prints."""
    with os.fdopen(os.memfd_create("borg", os.MFD_CLOEXEC), "w+b") as file:
        yield file


def _granted(base: StateDir, what: WindowRequest, wait: float) -> tuple[dict[str, str], socket]:
    end, said = time.monotonic() + wait, False
    while True:
        busy = None
        for run, connection in window_protocol.windows(base.fd):
            answer = _answer(connection, what)
            if answer is not None and answer.get("run") == run:
                return answer, connection
            connection.close()
            if answer is not None and "refused" in answer:
                busy = BorgctlError(REASONS[str(answer["refused"])].code, str(answer.get("detail")))
        if busy is not None:
            raise busy
        if time.monotonic() > end:
            raise BorgctlError("window-closed", _SHUT, _HINT)
        if not said:
            typer.echo("borgctl: waiting for a window", err=True)
            said = True
        time.sleep(_EVERY)


def _answer(connection: socket, what: WindowRequest) -> dict[str, str] | None:
    """WindowRequest; return what the gate says, None where it has gone or serves another repository."""
    connection.settimeout(_TO_ANSWER)
    return window_protocol.receive(connection) if window_protocol.send(connection, what.message) else None


def _in_foreground(words: Sequence[str]) -> list[str]:
    """Add the option that keeps borg's subcommand, the first word that is one, from going on behind our back."""
    found = list(words)
    at = next((index for index, word in enumerate(found) if word in _SUBCOMMANDS), None)
    if at is not None and found[at] in _FOREGROUND:
        found.insert(at + 1, _FOREGROUND[found[at]])
    return found


def _mounting(words: Sequence[str]) -> Mount | None:
    """Return what `borg mount` may mount; None for another subcommand."""
    if next((word for word in words if word in _SUBCOMMANDS), None) != "mount":
        return None
    return Mount.of(words[words.index("mount") + 1 :])


def _tell(process: "subprocess.Popen[bytes]", number: int) -> None:
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)  # one that was stopped would not hear it
