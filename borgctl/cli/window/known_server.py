"""The server that pulls this machine, as far as this machine knows: its address, and its name for this machine.

The address is that of the last accepted request, from the audit log. The name is in the comment of that request's key
(`borgpull-web1`), in the authorized_keys of the gate's user. The sender of a request chooses neither.

    known_server(policy) == Server("192.0.2.7", "web1")
"""

import contextlib
import ipaddress
import re
from dataclasses import dataclass

from borgctl import openssh_key
from borgctl.cli.log import read
from borgctl.cli.log.records import record
from borgctl.cli.openssh.keyline import parse
from borgctl.errors import BadValue
from borgctl.policy import locations
from borgctl.policy.model import Policy

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address and its name for this machine; None where unknown."""

    address: str | None = None
    target: str | None = None


def known_server(policy: Policy) -> Server:
    """Return the server whose request was the last that this policy accepted."""
    peer = key = None
    with contextlib.suppress(BadValue):
        for line in read.lines(read.parts(policy.audit.file)):
            if b'"accept"' in line.text:
                entry = record(line.text)
                if entry["type"] == "accept" and entry.get("policy") == policy.file:
                    peer, key = entry.get("peer"), entry.get("key")
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
        key = parse(line, file.name, number)
        name = key and re.fullmatch(r"borgpull-([A-Za-z0-9][A-Za-z0-9_.-]{0,63})", key.comment)
        with contextlib.suppress(BadValue):
            if key and name and openssh_key.fingerprint(key.blob) == fingerprint:
                return name[1]
    return None
