"""Children: programs that the launcher starts, that end with it, and that it can end in order.

Each is a session of its own, so that Ctrl-C on a terminal reaches the launcher alone. However the launcher dies, the
kernel sends the child a signal: SIGTERM, or SIGKILL for one that has nothing to put in order. The child ignores and
blocks no signal, whatever the launcher was started with. This module knows no ssh and no borg.

    child = ChildProcess(["/usr/bin/borg", "serve", …], environment, stdin=reader, stdout=writer)
    … poll child.pidfd and child.stderr …
    child.status()
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from borgctl.process import parent_death
from borgctl.pull.targets.errors import PullError

_RESET = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD, signal.SIGALRM)


class ChildProcess:
    """A running program; its `pidfd` becomes readable when it has ended, `stderr` is our end of its pipe."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], stdin: int, stdout: int, orphaned: int = signal.SIGTERM
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                cwd="/",
                umask=0o077,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid(), orphaned),  # noqa: PLW1509 - the launcher has no threads
            )
        except OSError as error:
            raise PullError(f"cannot start {argv[0]}: {error.strerror}") from None
        self.pid = self._process.pid
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError as error:
            self._process.kill()
            self._process.wait()
            raise PullError(f"cannot watch {argv[0]}: {error.strerror}") from None
        self.stderr = _pipe(self._process.stderr)
        self.stdout = _pipe(self._process.stdout) if self._process.stdout else None

    def send(self, number: int) -> None:
        """Send a signal to the child and to what it started in its session; wake a stopped one to get it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
                os.killpg(self.pid, signal.SIGCONT)

    def written(self) -> int | None:
        """Return how many bytes the child wrote in its life (proc(5), wchar), before it is reaped; None if unknown."""
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/io", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("wchar:")), None)
        return None

    def status(self) -> int:
        """Reap the ended child, and what is left of its session; return its exit status, or minus a signal's number."""
        self.send(signal.SIGTERM)  # to nobody but leftovers: an unreaped child still owns its group's number
        return self._process.wait()

    def close(self) -> None:
        """Close the descriptors; kill and reap a child that an error of ours left running."""
        if self._process.returncode is None:
            self.send(signal.SIGKILL)
            self._process.wait()
        os.close(self.pidfd)
        for stream in (self._process.stderr, self._process.stdout):
            if stream is not None:
                stream.close()


def _end_with(parent: int, orphaned: int) -> Callable[[], None]:
    """Return what a child does between fork and exec: ask for a signal at the launcher's death, and accept signals."""

    def tie() -> None:
        parent_death.end_with(parent, orphaned)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return tie


def _pipe(stream: IO[bytes] | None) -> int:
    """Return a pipe's descriptor, made non-blocking."""
    assert stream is not None
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()
