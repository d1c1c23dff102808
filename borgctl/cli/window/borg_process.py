"""borg process: a borg of the admin's, as a child of our command: started, waited for, and ended in order.

It has the admin's terminal, or bytes for its stdin and no terminal. It knows neither borg's words nor its environment.

    process = start(["/usr/bin/borg", "list"], env, fds, None, (SanitizedOutput(None, 1), SanitizedOutput(None, 2)))
    status = wait(process, signals, {SIGTERM}, connection, unmount, end)
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from socket import socket

from borgctl.borg.termination import BORG_ENDING
from borgctl.cli.common.sanitize import SanitizedOutput
from borgctl.errors import BorgctlError
from borgctl.process import parent_death
from borgctl.process.event_loop import EventLoop, Signals, Termination
from borgctl.state import window_protocol

Process = subprocess.Popen[bytes]


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    fds: Sequence[int],
    given: bytes | None,
    shown: tuple[SanitizedOutput, SanitizedOutput],
) -> Process:
    """Start borg with these descriptors, which are closed here, and begin to show its stdout and stderr."""
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            pass_fds=fds,
            stdin=None if given is None else subprocess.PIPE,
            stdout=shown[0].target,
            stderr=shown[1].target,
            start_new_session=given is not None,
            preexec_fn=partial(parent_death.end_with, os.getpid()),  # noqa: PLW1509 - there are no threads
        )
    except OSError as error:
        raise BorgctlError("borg-missing", f"{argv[0]!r}: {error.strerror}") from None
    finally:
        for fd in fds:
            os.close(fd)
        for stream in shown:
            stream.begin()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(given or b"")
    return process


def wait(
    process: Process,
    signals: Signals,
    asking: Collection[int],
    connection: socket,
    unmount: Callable[[], object],
    end: Callable[[object, Termination], object],
) -> int:
    """Wait for borg to end; where the gate's message or a signal of `asking` says that it must, give `end` the reason.

    Where borg has a terminal, that sends SIGINT to borg, too, which acts on it. But a `borg mount` ignores it, and
    ends when we unmount.
    """
    loop, pidfd = EventLoop(), os.pidfd_open(process.pid)
    termination = Termination(loop, partial(_tell, process), BORG_ENDING, unmount)

    def on_signal() -> None:
        received = signals.take()
        if not set(received).isdisjoint(asking):
            end("stopped", termination)
        elif received:
            unmount()

    def on_message() -> None:
        end((window_protocol.receive(connection) or {}).get("end"), termination)

    try:
        loop.once(pidfd, loop.clear)  # borg has ended: nothing else matters
        loop.watch(signals.fd, on_signal)
        loop.once(connection.fileno(), on_message)
        while loop.watches(pidfd):
            loop.turn()
        return process.wait()
    finally:
        os.close(pidfd)


def _tell(process: Process, number: int) -> None:
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)  # a stopped process would not act on it
