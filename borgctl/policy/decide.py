"""The whole decision about one request, from the bytes and variables that came in; the gate and `explain` share it.

`decide(policy, command, sent, facts)` is pure: it reads nothing and changes nothing. What it must know of this machine
comes in as facts. What must exist before a run starts, `state.requirements` checks.

    decide(policy, b"run default", {}, facts).granted == BorgCommand(…)
"""

import os
from collections.abc import Callable

from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.policy import sent_environment
from borgctl.policy.judge import Facts, judge
from borgctl.policy.model import Policy
from borgctl.policy.sent_environment import SentVariables
from borgctl.values import SocketPath
from borgctl.wire import request_parser
from borgctl.wire.request import Request


@dataclass(frozen=True, slots=True)
class Decision:
    """What is granted, for which request, and the variables for borg: those the policy sets, and those it accepts."""

    request: Request
    granted: BorgCommand | HelloReply | WindowGrant
    variables: tuple[tuple[str, str], ...] = ()


def announced_socket(policy: Policy, command: bytes | None, sent: SentVariables) -> SocketPath | None:
    """Return the socket that the peer names, if the policy offers sockets, whatever the rest of the request is.

    Raise BorgctlError if it is not directly in the policy's directory.
    """
    if "socket" not in policy.transports:
        return None
    path = request_parser.announced_socket(command, sent_environment.carriers(policy, sent))
    if path is not None:
        require_directly_in(path, policy.socket_directory)
    return path


def require_directly_in(path: SocketPath, directory: str) -> None:
    """Raise BorgctlError unless the socket's name is directly in the policy's directory."""
    if os.path.dirname(path.text) != directory:
        raise BorgctlError("socket-refused", f"{path.text!r} is not directly in {directory!r}")


def decide(
    policy: Policy,
    command: bytes | None,
    sent: SentVariables,
    facts: Facts,
    on_parsed: Callable[[Request], object] = lambda request: None,
) -> Decision:
    """Return what is granted, or raise BorgctlError; `on_parsed` gets the request as soon as it is parsed."""
    announced = announced_socket(policy, command, sent)
    parsed = request_parser.parse(command, sent_environment.carriers(policy, sent))
    on_parsed(parsed)
    if announced is not None and parsed.options.socket not in (None, announced):
        raise BorgctlError("conflicting-values", f"two sockets are named: {announced} and {parsed.options.socket}")
    granted = judge(policy, parsed, facts)
    if not isinstance(granted, BorgCommand):
        return Decision(parsed, granted)
    return Decision(parsed, granted, (*policy.environment.set, *sent_environment.accepted(policy, sent)))
