"""Values of a target file, each checked once: hosts, quotas, paths.

It knows what ssh and `borg serve` could read as something else. What a key is for it does not know.

    >>> in_bytes(quota("1.5T"))
    1500000000000.0
"""

import re

from borgctl.errors import BadValue
from borgctl.values import RepositoryPath


def host(text: str) -> str:
    """Return `user@host` or `host` (a name, or an address without brackets) that ssh cannot read as anything else."""
    user, at, place = text.rpartition("@")
    if at and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", user):
        raise BadValue(f"bad host {text[:80]!r}: the user before '@' must be letters, digits, '_', '.', '-'")
    if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", place):
        return text
    import ipaddress  # noqa: PLC0415 - seldom needed

    try:
        ipaddress.IPv6Address(place if "%" not in place else "")
    except ValueError:
        raise BadValue(f"bad host {text[:80]!r}: expected user@host or host, the port goes to 'port'") from None
    return text


def quota(text: str) -> str:
    """Return a quota that `borg serve --storage-quota` takes: a number and K, M, G, T or P, at least 10M."""
    if not re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,3})?[KMGTP]?", text):
        raise BadValue(f"bad quota {text[:40]!r}: expected a number and a unit, like 500G or 1.5T")
    if in_bytes(text) < 10_000_000:
        raise BadValue(f"bad quota {text!r}: borg wants at least 10M")
    return text


def in_bytes(quota: str) -> float:
    """Return a good quota as a number of bytes."""
    scale = 1000 ** (" KMGTP".index(quota[-1])) if quota[-1] in "KMGTP" else 1
    return float(quota.rstrip("KMGTP")) * scale


def plain_path(text: str) -> str:
    """Return an absolute, normal path without characters that ssh_config(5) would expand."""
    try:
        return RepositoryPath(text).text
    except BadValue as error:
        raise BadValue(str(error).replace("repository path", "path")) from None
