"""What one key line leaves open, in words: open or closed, the option that decides, and what to change.

`access_table` says what is open; this module finds the reasons. It reads no file.

    list(findings(KeyAccess(line, line.options, settings, "root", root=True, socket=False)))
"""

from collections.abc import Iterator
from dataclasses import dataclass

from borgctl.cli.doctor.access_table import ANY, Access, Reach, access
from borgctl.cli.doctor.findings import Finding
from borgctl.cli.openssh.key_options import KeyOptions
from borgctl.cli.openssh.keyline import KeyLine
from borgctl.cli.openssh.sshd import Settings

_RESTRICT = "begin the key line with 'restrict', as 'borgctl authorize' prints it"
_SOCKETS = "use the key line and the sshd settings that 'borgctl authorize --transport socket' prints"


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """A line under sshd's settings; `user` is who acts with it.

    `socket`: the policy offers the socket transport, which needs sockets to be made.
    """

    line: KeyLine
    options: KeyOptions
    settings: Settings
    user: str
    root: bool
    socket: bool


def findings(key: KeyAccess) -> Iterator[Finding]:
    """Yield a finding for each thing that a line can leave open."""
    granted, describe = access(key.options, key.settings), key.settings.describe
    yield _reach(key, "tcp-out", granted.tcp_out, "connect to", "permitopen")
    yield _reach(key, "tcp-in", granted.tcp_in, "listen on", "permitlisten")
    text = f"the key's holder can connect to any unix socket here as {key.user} (docker, dbus, databases, agents)"
    yield _judged(key, "socket-out", granted.socket_out, text, "local", "allowstreamlocalforwarding")
    yield _socket_in(key, granted)
    if granted.socket_in:
        yield from _made_sockets(key, granted)
    if granted.gateway:
        yield Finding(
            "open", "gateway", "other hosts can connect to the ports, too", (describe("gatewayports"),), _SOCKETS
        )
    yield _flag(key, "terminal", granted.pty, "pty", "permittty", "the key's holder can get a terminal", "open")
    text = "an agent can be forwarded: its socket is here while the connection lasts"
    yield _flag(key, "agent", granted.agent, "agent-forwarding", "allowagentforwarding", text, "warn")
    text = "X11 can be forwarded: a port listens here, and xauth runs before the command"
    yield _flag(key, "x11", granted.x11, "x11-forwarding", "x11forwarding", text, "open")
    yield _tunnel(key, granted)
    text = f"~/.ssh/rc of {key.user} runs before the command"
    yield _flag(key, "user-rc", granted.user_rc, "user-rc", "permituserrc", text, "warn")


def _reach(key: KeyAccess, topic: str, reach: Reach, verb: str, option: str) -> Finding:
    what = "any TCP host and port" if ANY[0] in reach else f"TCP {', '.join(reach)}"
    text = f"the key's holder can {verb} {what} from this machine"
    direction = "local" if option == "permitopen" else "remote"
    return _judged(key, topic, bool(reach), text, direction, "allowtcpforwarding")


def _judged(key: KeyAccess, topic: str, is_open: bool, text: str, direction: str, keyword: str) -> Finding:
    """Return a finding about forwarding in one direction; `keyword` is sshd's setting for it."""
    if not is_open:
        return Finding("ok", topic, f"closed: {_closing(key, direction, keyword)}")
    why = (f"{_written(key, 'port-forwarding')} ({key.line.place})", key.settings.describe(keyword))
    return Finding("open", topic, text, why, _SOCKETS if key.socket else _RESTRICT)


def _closing(key: KeyAccess, direction: str, keyword: str) -> str:
    """Return the first thing that closes it, in sshd's order."""
    options, settings = key.options, key.settings
    if not options.port_forwarding:
        return f"{_written(key, 'port-forwarding')} ({key.line.place})"
    if settings.yes("disableforwarding"):
        return settings.describe("disableforwarding")
    for setting in (keyword, "allowtcpforwarding"):
        if settings.value(setting, "yes") not in ("yes", "all", direction):
            return settings.describe(setting)
    limit = "permitopen" if direction == "local" else "permitlisten"  # the same word on both sides
    allowed = getattr(options, limit)
    return f"{limit}={','.join(allowed)} ({key.line.place})" if allowed else settings.describe(limit)


def _written(key: KeyAccess, flag: str) -> str:
    """Return the words of the line that decide a flag."""
    permitted = getattr(key.options, flag.replace("-", "_"))
    if permitted:
        return f"'{flag}'" if key.options.restricted else "no 'restrict' in the key line"
    return "restrict" if key.options.restricted else f"no-{flag}"


def _socket_in(key: KeyAccess, granted: Access) -> Finding:
    if not granted.socket_in:
        closed = f"closed: {_closing(key, 'remote', 'allowstreamlocalforwarding')}"
        if not key.socket:
            return Finding("ok", "socket-in", closed)
        change = "say 'transports: [stdio]' in the policy, or " + _SOCKETS
        return Finding("warn", "socket-in", f"{closed}; but the policy offers the socket transport", (), change)
    text = f"the key's holder can make sockets wherever {key.user} may write, and no log shows it"
    why = (
        f"{_written(key, 'port-forwarding')} ({key.line.place})",
        key.settings.describe("allowstreamlocalforwarding"),
    )
    if key.socket and not key.root:
        return Finding("warn", "socket-in", f"OPEN as the socket transport needs it: {text}", why, "prefer stdio")
    change = "log in as an unprivileged user: 'borgctl authorize --login sudo --transport socket'"
    return Finding("open", "socket-in", text, why, change if key.socket else _RESTRICT)


def _made_sockets(key: KeyAccess, granted: Access) -> Iterator[Finding]:
    describe = key.settings.describe
    if granted.unlink:
        text = f"a socket replaces any file that {key.user} may delete: the key's holder can delete it"
        change = "StreamLocalBindUnlink no in sshd_config: no key option closes this"
        yield Finding("open", "unlink", text, (describe("streamlocalbindunlink"),), change)
    else:
        yield Finding("ok", "unlink", f"closed: {describe('streamlocalbindunlink')}")
    if granted.loose:
        text = "other users of this machine can connect to the sockets that the key's holder makes"
        yield Finding("open", "socket-mode", text, (describe("streamlocalbindmask"),), "StreamLocalBindMask 0177")


def _flag(key: KeyAccess, topic: str, is_open: bool, flag: str, keyword: str, text: str, level: str) -> Finding:
    settings = key.settings
    if is_open:
        why = (f"{_written(key, flag)} ({key.line.place})", settings.describe(keyword))
        return Finding("open" if level == "open" else "warn", topic, f"OPEN: {text}", why, _RESTRICT)
    permitted = getattr(key.options, flag.replace("-", "_"))
    if not permitted:
        return Finding("ok", topic, f"closed: {_written(key, flag)} ({key.line.place})")
    if settings.yes("disableforwarding") and flag in ("agent-forwarding", "x11-forwarding"):
        keyword = "disableforwarding"
    if flag == "user-rc" and settings.value("forcecommand") != "none":
        keyword = "forcecommand"
    return Finding("ok", topic, f"closed: {settings.describe(keyword)}")


def _tunnel(key: KeyAccess, granted: Access) -> Finding:
    setting = key.settings.describe("permittunnel")
    if not granted.tunnel:
        return Finding("ok", "tunnel", f"closed: {setting}")
    text = "the key's holder can make network devices here (as root, or as the owner of a device)"
    return Finding("open", "tunnel", text, (setting, "no key option closes this in OpenSSH 9.2"), "PermitTunnel no")
