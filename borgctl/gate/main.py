"""The gate: an SSH forced command that decides from a policy file what a backup server may make happen here.

    python3 -I -m borgctl.gate --policy FILE [--key SHA256:FINGERPRINT]

This file has the order of steps; the details are in the modules it calls. Descriptors and environment come first. Then:
policy, log, socket, request, decision; what is `granted`: locks, record, run; and a record. A refusal is recorded and
ends the call early, and so does anything unforeseen. The last line on fd 2 tells how it ended; docs/wire.md has every
line.
"""

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

from borgctl.audit.log import Log
from borgctl.errors import BorgctlError
from borgctl.gate import stdio
from borgctl.gate.invocation import Invocation, end, refuse
from borgctl.gate.output import Output
from borgctl.gate.run_result import RunResult
from borgctl.gate.stdio import ProtocolFds
from borgctl.policy import decide, load, locations, sent_environment
from borgctl.policy.judge import Facts
from borgctl.policy.model import Policy
from borgctl.policy.placeholders import Names
from borgctl.wire import gate_argv


def main() -> NoReturn:
    """Tell one story and exit with its status; only a stated success is one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))  # until Watch.start
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where our starter ignored it, nobody learns how a child ended
    protocol_fds = stdio.take()
    environment = dict(os.environb)
    for name in list(environment):
        with contextlib.suppress(OSError, ValueError):  # a peer may send one without a name
            del os.environb[name]
    time.tzset()  # the interpreter has read TZ, which may be the peer's
    run = os.urandom(8).hex()
    invocation = Invocation(run, Output(2, run), local=b"SSH_CONNECTION" not in environment)
    try:
        status = end(invocation, _serve(invocation, sys.argv[1:], environment, protocol_fds))
    except BorgctlError as error:
        status = refuse(invocation, error)
    except Exception as error:
        status = refuse(invocation, BorgctlError("internal", f"{type(error).__name__}: {error}"))
    invocation.output.flush()
    os._exit(status)


def _serve(
    invocation: Invocation, arguments: list[str], environment: Mapping[bytes, bytes], protocol_fds: ProtocolFds
) -> RunResult:
    """Decide and run; every way of saying no is a BorgctlError."""
    command = environment.get(b"SSH_ORIGINAL_COMMAND")
    file, key = _arguments(arguments)
    invocation.known = _asked(file, key, command, environment)
    policy = _policy(invocation, file)
    pinned = _pinned(policy, command, environment)
    facts = Facts(Names(sent_environment.hostname(), "", datetime.now().astimezone()), invocation.local)
    decided = decide.decide(policy, command, environment, facts, invocation.heard)
    with _readable():
        from borgctl.gate import granted  # noqa: PLC0415 - half of a start, which a refusal does not need

    gc.enable()  # see __main__
    return granted.carry_out(invocation, policy, decided, facts.names.hostname, protocol_fds, pinned)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Let other users read what the interpreter keeps of modules: else each start of a gate of theirs compiles them."""
    umask = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(umask)


def _arguments(words: list[str]) -> tuple[str, str | None]:
    """Read our own command line, which authorized_keys fixes; refuse to run with the peer's Python settings."""
    if not sys.flags.isolated:
        raise BorgctlError("not-isolated", "the interpreter was started without -I")
    if sys.getfilesystemencoding() != "utf-8":
        raise BorgctlError("not-isolated", "a locale came with the connection that makes file names other bytes")
    known = gate_argv.read_arguments(words)
    if known is None:
        raise BorgctlError("usage", f"unexpected arguments {words!r}")
    return known


def _asked(file: str, key: str | None, command: bytes | None, environment: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what is known of who asks for what, as text for records."""
    peer = environment.get(b"SSH_CONNECTION", b"").decode("ascii", "replace").split(" ")
    text = (command or b"").decode("ascii", "backslashreplace")
    return {"policy": file, "key": key, "peer": peer[0] or None, "request": text}


def _policy(invocation: Invocation, file: str) -> Policy:
    """Read the policy and open its log; where it cannot be read, leave a log in which that can be written down."""
    try:
        policy = load.read(file)
    except load.InvalidPolicy as error:
        invocation.log = Log.fallback(error.log or locations.default_log())
        raise
    invocation.known["digest"] = policy.digest
    invocation.log = Log.open(policy.audit.file, syslog=policy.audit.syslog)
    return policy


def _pinned(policy: Policy, command: bytes | None, environment: Mapping[bytes, bytes]) -> int | None:
    """Take the socket that the request announces, whatever else it says; None where it announces none."""
    announced = decide.announced_socket(policy, command, environment)
    if announced is None:
        return None
    with _readable():
        from borgctl.gate import transport  # noqa: PLC0415 - as few requests announce one

    return transport.pin(announced, policy.socket_directory)
