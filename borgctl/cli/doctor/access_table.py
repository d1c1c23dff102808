"""The decision table: what a key's holder can do besides the command, by the line's options and sshd's settings.

It is pure. The logic is that of OpenSSH's channels.c, serverloop.c and session.c. The tests try every row against a
real sshd (tests/e2e/test_doctor.py). Some of it is unexpected: the settings for TCP decide about unix sockets, too.

    access(options, settings).socket_in
"""

import fnmatch
from dataclasses import dataclass

from borgctl.cli.openssh.key_options import KeyOptions
from borgctl.cli.openssh.sshd import Settings

Reach = tuple[str, ...]  # patterns HOST:PORT; empty: closed
ANY: Reach = ("*:*",)
_NOBODY = frozenset(
    ("localhost:1", "127.0.0.1:1", "[::1]:1")
)  # tcpmux: nothing listens there, so this port stands for none


@dataclass(frozen=True, slots=True)
class Access:
    """What is open. `tcp_out`: connect from here; `tcp_in`: listen here; the same for unix sockets.

    `unlink`: a listening socket replaces any file; `loose`: its mode lets others connect; `gateway`: other hosts can
    connect to the ports.
    """

    tcp_out: Reach
    tcp_in: Reach
    socket_out: bool
    socket_in: bool
    unlink: bool
    loose: bool
    gateway: bool
    pty: bool
    agent: bool
    x11: bool
    tunnel: bool
    user_rc: bool


def access(options: KeyOptions, settings: Settings) -> Access:
    """Return what this line leaves open under these settings."""
    forwards = options.port_forwarding and not settings.yes("disableforwarding")
    others = not settings.yes("disableforwarding")
    tcp = _directions(settings, "allowtcpforwarding") if forwards else frozenset()
    sockets = _directions(settings, "allowstreamlocalforwarding") if forwards else frozenset()
    listen = tuple(f"*:{entry}" if entry.isdigit() else entry for entry in settings.words("permitlisten"))
    out = _both(options.permitopen, settings.words("permitopen")) if "local" in tcp else ()
    into = _both(options.permitlisten, listen) if "remote" in tcp else ()
    socket_in = {"remote"} <= sockets & tcp  # PermitListen says nothing about paths
    return Access(
        tcp_out=tuple(entry for entry in out if entry not in _NOBODY),
        tcp_in=tuple(entry for entry in into if entry not in _NOBODY),
        socket_out={"local"} <= sockets & tcp and ANY[0] in out,  # a path is a host whose port is a wildcard
        socket_in=socket_in,
        unlink=socket_in and settings.yes("streamlocalbindunlink"),
        loose=socket_in and int(settings.value("streamlocalbindmask", "0177"), 8) & 0o177 != 0o177,
        gateway=bool(into) and settings.value("gatewayports", "no") != "no",
        pty=options.pty and settings.value("permittty", "yes") == "yes",
        agent=others and options.agent_forwarding and settings.value("allowagentforwarding", "yes") == "yes",
        x11=others and options.x11_forwarding and settings.yes("x11forwarding"),
        tunnel=settings.value("permittunnel", "no") != "no",  # 9.2 asks neither 'restrict' nor DisableForwarding
        user_rc=options.user_rc
        and settings.value("permituserrc", "yes") == "yes"
        and settings.value("forcecommand") == "none",
    )


def _directions(settings: Settings, keyword: str) -> frozenset[str]:
    value = settings.value(keyword, "yes")
    return frozenset(("local", "remote")) if value in ("yes", "all") else frozenset((value,)) - {"no"}


def _both(key: Reach, sshd: Reach) -> Reach:
    """Return what both allow; an empty list of the key means any, sshd says 'any' or 'none'."""
    if sshd == ("none",):
        return ()
    first, second = key or ANY, ANY if sshd in ((), ("any",)) else sshd
    patterns = [pattern for left in first for right in second if (pattern := _common(left, right))]
    return tuple(dict.fromkeys(patterns))


def _common(left: str, right: str) -> str | None:
    """Return the pattern that both contain, None where there is none."""
    (host, _, port), (other_host, _, other_port) = left.rpartition(":"), right.rpartition(":")
    if "*" not in (port, other_port) and port != other_port:
        return None
    number = other_port if port == "*" else port
    if fnmatch.fnmatchcase(host, other_host):
        return f"{host}:{number}"
    return f"{other_host}:{number}" if fnmatch.fnmatchcase(other_host, host) else None
