"""The whole decision about one request, from the bytes and variables that came in: one for the gate and for `explain`.

`decide(policy, command, sent, facts)` is pure: it reads nothing and does nothing. What it needs to be known of this
machine comes in as facts; what must be there before a run is `requirements`'.

    decide(policy, b"run default", {}, facts).granted == BorgCommand(…)
"""

import os
from collections.abc import Callable, Mapping

from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.policy import sent_environment
from borgctl.policy.judge import Facts, judge
from borgctl.policy.model import Policy
from borgctl.values import SocketPath
from borgctl.wire import request
from borgctl.wire.request import Request

Sent = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is granted, for which request, with the variables that borg gets (the policy's, and those accepted)."""

    request: Request
    granted: BorgCommand | HelloReply | WindowGrant
    variables: tuple[tuple[str, str], ...] = ()


def announced(policy: Policy, command: bytes | None, sent: Sent) -> SocketPath | None:
    """Return the socket that the peer names, where sockets are offered at all, however the rest of the request reads.

    Raise BorgctlError where it is not directly in the policy's directory.
    """
    if "socket" not in policy.transports:
        return None
    path = request.announced_socket(command, sent_environment.carriers(policy, sent))
    if path is not None:
        require_placed(path, policy.socket_directory)
    return path


def require_placed(path: SocketPath, directory: str) -> None:
    """Raise BorgctlError unless the socket's name stands directly in the policy's directory."""
    if os.path.dirname(path.text) != directory:
        raise BorgctlError("socket-refused", f"{path.text!r} is not directly in {directory!r}")


def decide(
    policy: Policy,
    command: bytes | None,
    sent: Sent,
    facts: Facts,
    heard: Callable[[Request], object] = lambda request: None,
) -> Decision:
    """Return what is granted, or raise BorgctlError; `heard` is told the request once it is understood."""
    named = announced(policy, command, sent)
    asked = request.parse(command, sent_environment.carriers(policy, sent))
    heard(asked)
    if named is not None and asked.options.socket not in (None, named):
        raise BorgctlError("conflicting-values", f"two sockets are named: {named} and {asked.options.socket}")
    granted = judge(policy, asked, facts)
    if not isinstance(granted, BorgCommand):
        return Decision(asked, granted)
    return Decision(asked, granted, (*policy.environment.set, *sent_environment.accepted(policy, sent)))
