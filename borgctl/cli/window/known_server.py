"""Which server pulls this machine, as far as it is known here: its address, and what it calls this machine.

The address is that of the last accepted request, from the audit log; the name is in the comment of the key that it came
with (`borgpull-web1`), in the authorized_keys of the gate's user. Whoever sends requests chooses neither.

    known_server(policy) == Server("192.0.2.7", "web1")
"""

import contextlib
import ipaddress
import re
from dataclasses import dataclass

from borgctl.cli.log import read
from borgctl.cli.log.records import record
from borgctl.cli.openssh.keyline import parse
from borgctl.cli.publickey import PublicKey
from borgctl.errors import BadValue
from borgctl.policy import locations
from borgctl.policy.model import Policy

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address and its name for this machine, None each where it is not known."""

    address: str | None = None
    target: str | None = None


def known_server(policy: Policy) -> Server:
    """Return what is known of the server that last had a request of this policy accepted."""
    peer = key = None
    with contextlib.suppress(BadValue):
        for line in read.lines(read.parts(policy.audit.file)):
            if b'"accept"' in line.text:
                told = record(line.text)
                if told["type"] == "accept" and told.get("policy") == policy.file:
                    peer, key = told.get("peer"), told.get("key")
    return Server(_address(peer), _target(key) if isinstance(key, str) else None)


def _address(peer: object) -> str | None:
    try:
        return str(ipaddress.ip_address(str(peer)))
    except ValueError:
        return None


def _target(fingerprint: str) -> str | None:
    """Return the name in the comment of the key with this fingerprint."""
    try:
        with open(f"{locations.home()}/.ssh/authorized_keys", encoding="utf-8", errors="replace") as file:
            text = file.read(_LARGEST)
    except OSError:
        return None
    for number, line in enumerate(text.splitlines(), 1):
        found = parse(line, file.name, number)
        name = found and re.fullmatch(r"borgpull-([A-Za-z0-9][A-Za-z0-9_.-]{0,63})", found.comment)
        with contextlib.suppress(BadValue):
            if found and name and PublicKey.read(f"{found.kind} {found.blob}").fingerprint == fingerprint:
                return name[1]
    return None
