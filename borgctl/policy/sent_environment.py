"""Pick the variables that a policy lets in from those that the peer sent; and this host's name.

The gate reads the environment once. These functions take the few names that a policy accepts from it, and drop
everything else. `explain` uses the same functions on variables given by hand.

    accepted(policy, {b"TZ": b"UTC", b"LD_PRELOAD": b"/x.so"}) == [("TZ", "UTC")]
"""

import os
from collections.abc import Iterable, Mapping

from borgctl.borg.variables import ACCEPTABLE
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy.model import Policy
from borgctl.wire.request_parser import CARRIERS

SentVariables = Mapping[bytes, bytes]


def carriers(policy: Policy, sent: SentVariables) -> dict[str, str] | None:
    """Return the published scripts' variables; None unless the policy says 'published: yes'."""
    return _named(sent, CARRIERS) if policy.published else None


def accepted(policy: Policy, sent: SentVariables) -> list[tuple[str, str]]:
    """Return the variables that the peer sent and the policy accepts, their values checked."""
    try:
        variables = _named(sent, sorted(policy.environment.accept))
        return [(name, ACCEPTABLE[name].check(value)) for name, value in variables.items()]
    except BadValue as error:
        raise BorgctlError("bad-value", str(error)) from None


def hostname() -> str:
    """Return this host's name up to its first dot."""
    return os.uname().nodename.partition(".")[0]


def _named(sent: SentVariables, names: Iterable[str]) -> dict[str, str]:
    values = {name: sent.get(name.encode()) for name in names}
    return {name: value.decode("ascii", "backslashreplace") for name, value in values.items() if value}
