"""Client command: the command that reaches a client: ssh, or with transport local the gate itself.

run(target, JobName("default"), "/…/run/1a2b").argv == ["/usr/bin/ssh", "-T", …, "run default --log=json …"]
"""

import os
import time
from signal import SIGKILL, SIGTERM

from borgctl.data_class import dataclass, replace
from borgctl.pull.client import ssh
from borgctl.pull.targets.targets import Target
from borgctl.values import Head, JobName, SocketPath
from borgctl.wire import gate_argv
from borgctl.wire.request import Borg, Hello, Order, Request, Run, RunOptions, Window, render

GATE = tuple(gate_argv.program())


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one client, ready to start; `listen` is the socket through which serve is reached, if any.

    `idle`: perhaps nobody opens the repository, and then serve's complaint about that is not shown. `until`: when a
    window ends, in seconds since the epoch.
    """

    argv: list[str]
    env: dict[str, str]
    listen: str | None
    asked: tuple[str | None, str | None]
    name: str
    patience: float  # seconds from TERM to KILL: the gate ends borg in order, which takes it 30
    orphaned: int = SIGKILL  # the signal it gets when the launcher dies: ssh has nothing to put in order
    idle: bool = False
    until: float | None = None


def hello(target: Target, workdir: str, seen: Head | None = None, *, forwarded: bool = False) -> Call:
    """Return the call that asks what the client offers; `forwarded`: with a run's socket, which nobody serves."""
    forward = _forward(target, workdir, None) if forwarded else None
    socket = SocketPath(forward.remote) if forward else None
    request = Request(Hello(), RunOptions(socket=socket, log="json", seen=seen))
    return replace(_call(target, request, workdir, forward, (None, None)), listen=None)


def run(target: Target, job: JobName, workdir: str, seen: Head | None = None, nonce: str | None = None) -> Call:
    """Return the call that asks for a job; with transport socket under a fresh name, `nonce`.

    `seen` is the last known head of the client's audit log.
    """
    return _serving(target, Run(job), workdir, (str(job), str(target.repository)), seen, nonce)


def spelled_out(target: Target, order: Borg, workdir: str, seen: Head | None = None) -> Call:
    """Return the call that asks for a borg subcommand."""
    return _serving(target, order, workdir, (None, str(target.repository)), seen)


def window(target: Target, seconds: int, workdir: str, seen: Head | None = None) -> Call:
    """Return the call that offers a window for so many seconds."""
    call = _serving(target, Window(seconds), workdir, (None, str(target.repository)), seen)
    return replace(call, idle=True, until=time.time() + seconds)


def _serving(
    target: Target,
    order: Order,
    workdir: str,
    asked: tuple[str | None, str | None],
    seen: Head | None,
    nonce: str | None = None,
) -> Call:
    """Return a call in which the client may reach serve."""
    forward = _forward(target, workdir, nonce)
    socket = SocketPath(forward.remote) if forward else None
    request = Request(order, RunOptions(repository=target.repository, socket=socket, log="json", seen=seen))
    return _call(target, request, workdir, forward, asked)


def _forward(target: Target, workdir: str, nonce: str | None) -> ssh.Forward | None:
    if target.transport != "socket":
        return None
    return ssh.Forward(
        f"{target.socket_directory}/borgpull-{nonce or os.urandom(16).hex()}.sock", f"{workdir}/serve.sock"
    )


def _call(
    target: Target, request: Request, workdir: str, forward: ssh.Forward | None, asked: tuple[str | None, str | None]
) -> Call:
    line = render(request)
    if target.transport == "local":
        assert target.policy is not None
        env = {"PATH": ssh.PATH, "TMPDIR": workdir, "SSH_ORIGINAL_COMMAND": line}  # TMPDIR: see `workdirs`
        return Call([*GATE, *gate_argv.arguments(target.policy)], env, None, asked, "gate", 45, SIGTERM)
    argv = ssh.argv(target, line, f"{workdir}/known_hosts", ssh.processor_has_aes(), forward)
    return Call(argv, ssh.environment(), forward.local if forward else None, asked, "ssh", 10)


def prepare(target: Target, workdir: str) -> None:
    """Write the file that the call's argv names: the known_hosts file of this run. Raise OSError with its path."""
    if target.transport == "local":
        return
    path = f"{workdir}/known_hosts"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(ssh.known_hosts(target))
    except OSError as error:  # a write on a full disk names no file
        raise OSError(error.errno, error.strerror, path) from None
