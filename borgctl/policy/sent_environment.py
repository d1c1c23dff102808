"""What comes in from around a request: variables that the peer sent, and this host's name.

The environment is read once, by the gate; here the few names that a policy lets in are picked from it, and everything
else is forgotten. `explain` uses the same functions on variables given by hand.
"""

import os
from collections.abc import Iterable, Mapping

from borgctl.borg.options import ACCEPTABLE
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy.model import Policy
from borgctl.wire.request import CARRIERS

Environment = Mapping[bytes, bytes]


def carriers(policy: Policy, environment: Environment) -> dict[str, str] | None:
    """Return the published scripts' variables; None where the policy does not say 'published: yes'."""
    return _named(environment, CARRIERS) if policy.published else None


def accepted(policy: Policy, environment: Environment) -> list[tuple[str, str]]:
    """Return the variables that the peer sent and the policy accepts, each with a value that is checked."""
    try:
        sent = _named(environment, sorted(policy.environment.accept))
        return [(name, ACCEPTABLE[name].check(value)) for name, value in sent.items()]
    except BadValue as error:
        raise BorgctlError("bad-value", str(error)) from None


def hostname() -> str:
    """Return this host's name up to its first dot."""
    return os.uname().nodename.partition(".")[0]


def _named(environment: Environment, names: Iterable[str]) -> dict[str, str]:
    sent = {name: environment.get(name.encode()) for name in names}
    return {name: value.decode("ascii", "backslashreplace") for name, value in sent.items() if value}
