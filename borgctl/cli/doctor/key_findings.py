"""The doors of one key line, in words: closed or open, the option that decides, and what to change.

What is open comes from `table`; this module finds the reasons for it. It reads no file.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from borgctl.cli.doctor.access_table import ANY, Opened, Reach, opened
from borgctl.cli.doctor.findings import Finding
from borgctl.cli.openssh.keyline import KeyLine, Options
from borgctl.cli.openssh.sshd import Settings

_RESTRICT = "begin the key line with 'restrict', as 'borgctl authorize' prints it"
_SOCKETS = "take the key line and the sshd settings that 'borgctl authorize --transport socket' prints"


@dataclass(frozen=True, slots=True)
class Door:
    """A line as it counts under sshd's settings; `user` is who does what it lets through, `socket` whether the policy
    offers the socket transport, which needs one of the doors."""

    line: KeyLine
    options: Options
    settings: Settings
    user: str
    root: bool
    socket: bool


def findings(door: Door) -> Iterator[Finding]:
    """Yield a finding for each door."""
    found, said = opened(door.options, door.settings), door.settings.said
    yield _reach(door, "tcp-out", found.tcp_out, "dial", "permitopen")
    yield _reach(door, "tcp-in", found.tcp_in, "listen on", "permitlisten")
    text = f"the key's holder can dial any unix socket of this machine as {door.user} (docker, dbus, databases, agents)"
    yield _judged(door, "socket-out", found.socket_out, text, "local", "allowstreamlocalforwarding")
    yield _socket_in(door, found)
    if found.socket_in:
        yield from _made_sockets(door, found)
    if found.gateway:
        yield Finding("open", "gateway", "ports may listen to other hosts, too", (said("gatewayports"),), _SOCKETS)
    yield _flag(door, "terminal", found.pty, "pty", "permittty", "a terminal can be had", "open")
    text = "an agent can be forwarded: its socket is here as long as the connection"
    yield _flag(door, "agent", found.agent, "agent-forwarding", "allowagentforwarding", text, "warn")
    text = "X11 can be forwarded: a port listens here, and xauth runs before the command"
    yield _flag(door, "x11", found.x11, "x11-forwarding", "x11forwarding", text, "open")
    yield _tunnel(door, found)
    text = f"~/.ssh/rc of {door.user} runs before the command"
    yield _flag(door, "user-rc", found.user_rc, "user-rc", "permituserrc", text, "warn")


def _reach(door: Door, topic: str, reach: Reach, verb: str, option: str) -> Finding:
    what = "any TCP host and port" if ANY[0] in reach else f"TCP {', '.join(reach)}"
    text = f"the key's holder can {verb} {what} from this machine"
    direction = "local" if option == "permitopen" else "remote"
    return _judged(door, topic, bool(reach), text, direction, "allowtcpforwarding")


def _judged(door: Door, topic: str, is_open: bool, text: str, direction: str, keyword: str) -> Finding:
    """Return a finding about forwarding in one direction; `keyword` is the setting that is meant for it."""
    if not is_open:
        return Finding("ok", topic, f"closed: {_closing(door, direction, keyword)}")
    why = (f"{_written(door, 'port-forwarding')} ({door.line.place})", door.settings.said(keyword))
    return Finding("open", topic, text, why, _SOCKETS if door.socket else _RESTRICT)


def _closing(door: Door, direction: str, keyword: str) -> str:
    """Return the first thing that closes it, in sshd's order."""
    options, settings = door.options, door.settings
    if not options.port_forwarding:
        return f"{_written(door, 'port-forwarding')} ({door.line.place})"
    if settings.yes("disableforwarding"):
        return settings.said("disableforwarding")
    for setting in (keyword, "allowtcpforwarding"):
        if settings.one(setting, "yes") not in ("yes", "all", direction):
            return settings.said(setting)
    limit = "permitopen" if direction == "local" else "permitlisten"  # the same word on both sides
    named = getattr(options, limit)
    return f"{limit}={','.join(named)} ({door.line.place})" if named else settings.said(limit)


def _written(door: Door, flag: str) -> str:
    """Return what of the line decides a flag."""
    permitted = getattr(door.options, flag.replace("-", "_"))
    if permitted:
        return f"'{flag}'" if door.options.restricted else "no 'restrict' in the key line"
    return "restrict" if door.options.restricted else f"no-{flag}"


def _socket_in(door: Door, found: Opened) -> Finding:
    if not found.socket_in:
        closed = f"closed: {_closing(door, 'remote', 'allowstreamlocalforwarding')}"
        if not door.socket:
            return Finding("ok", "socket-in", closed)
        change = "say 'transports: [stdio]' in the policy, or " + _SOCKETS
        return Finding("warn", "socket-in", f"{closed}; but the policy offers the socket transport", (), change)
    text = f"the key's holder can make sockets wherever {door.user} may write, without a record"
    why = (f"{_written(door, 'port-forwarding')} ({door.line.place})", door.settings.said("allowstreamlocalforwarding"))
    if door.socket and not door.root:
        return Finding("warn", "socket-in", f"OPEN as the socket transport needs it: {text}", why, "prefer stdio")
    change = "log in as an unprivileged user: 'borgctl authorize --login sudo --transport socket'"
    return Finding("open", "socket-in", text, why, change if door.socket else _RESTRICT)


def _made_sockets(door: Door, found: Opened) -> Iterator[Finding]:
    said = door.settings.said
    if found.unlink:
        text = f"a socket takes the place of any file that {door.user} may delete: the key's holder can delete it"
        change = "StreamLocalBindUnlink no in sshd_config: no key option closes this"
        yield Finding("open", "unlink", text, (said("streamlocalbindunlink"),), change)
    else:
        yield Finding("ok", "unlink", f"closed: {said('streamlocalbindunlink')}")
    if found.loose:
        text = "other users of this machine can connect to sockets that are made"
        yield Finding("open", "socket-mode", text, (said("streamlocalbindmask"),), "StreamLocalBindMask 0177")


def _flag(door: Door, topic: str, is_open: bool, flag: str, keyword: str, text: str, level: str) -> Finding:
    settings = door.settings
    if is_open:
        why = (f"{_written(door, flag)} ({door.line.place})", settings.said(keyword))
        return Finding("open" if level == "open" else "warn", topic, f"OPEN: {text}", why, _RESTRICT)
    permitted = getattr(door.options, flag.replace("-", "_"))
    if not permitted:
        return Finding("ok", topic, f"closed: {_written(door, flag)} ({door.line.place})")
    if settings.yes("disableforwarding") and flag in ("agent-forwarding", "x11-forwarding"):
        keyword = "disableforwarding"
    if flag == "user-rc" and settings.one("forcecommand") != "none":
        keyword = "forcecommand"
    return Finding("ok", topic, f"closed: {settings.said(keyword)}")


def _tunnel(door: Door, found: Opened) -> Finding:
    said = door.settings.said("permittunnel")
    if not found.tunnel:
        return Finding("ok", "tunnel", f"closed: {said}")
    text = "network devices can be made here (by root, or by whom the device belongs to)"
    return Finding("open", "tunnel", text, (said, "OpenSSH 9.2 asks no key option about it"), "PermitTunnel no")
