"""What the system needs besides a key line: settings for sshd, a sudo rule, a directory. Text only; nothing is written.

Sources: sshd_config(5), sudoers(5), tmpfiles.d(5). All lines are comments, so that they may follow the key line.
"""

import re
from enum import StrEnum


class Transport(StrEnum):
    """The two transports that go over ssh."""

    STDIO = "stdio"
    SOCKET = "socket"


def sudo_rule(gate: list[str], accepted: tuple[str, ...]) -> list[str]:
    """Return the rule for exactly this command line; `accepted` are the variables that the policy takes."""
    variables = " ".join(("SSH_ORIGINAL_COMMAND", "SSH_CONNECTION", *accepted))
    words = " ".join(re.sub(r"([,:=\\])", r"\\\1", word) for word in gate)
    return [
        "#",
        "# Make the user (no password, no other group) and the sudo rule, with visudo -f /etc/sudoers.d/borgctl:",
        "#   useradd --system --create-home --home-dir /var/lib/borgctl-login --shell /bin/sh --password '*' borgctl",
        f'#   Defaults!{gate[0]} env_keep += "{variables}", !use_pty',
        f"#   borgctl ALL=(root) NOPASSWD: {words}",
    ]


_NO_FORWARDING = ("DisableForwarding yes",)
_SOCKET_ONLY = (
    "AllowTcpForwarding remote          # 'no' would close the one forwarding that is needed",
    "AllowStreamLocalForwarding remote",
    "PermitListen none",
    "PermitOpen none",
    "StreamLocalBindUnlink no           # 'yes' lets the server delete any file of this user",
    "StreamLocalBindMask 0177",
    "UnusedConnectionTimeout 60         # OpenSSH 9.2 or later",
)
_FILE = "in /etc/ssh/sshd_config.d/50-borgctl.conf, then: systemctl reload ssh"
_ROOT_LOGIN = (
    "#   PermitRootLogin prohibit-password       # Debian's default; where no other key is",
    "#                                           # to log in as root: forced-commands-only",
)
_COMMON = (
    "AllowAgentForwarding no",
    "X11Forwarding no",
    "PermitTunnel no",
    "PermitTTY no",
    "PermitUserRC no",
)
_ALIVE = (
    "ClientAliveInterval 30",
    "ClientAliveCountMax 3",
)  # without them, a run whose network is down goes on


def sshd(transport: Transport, user: str, accepted: tuple[str, ...], *, shared: bool) -> list[str]:
    """Return the drop-in: sockets need it; over stdio it is a second guard, for a login user of its own.

    `shared`: people log in as this user to work, and need their terminal.

    AcceptEnv in a Match block replaces all others. So it names what the policy takes, or a variable that nobody has.
    """
    variables = f"AcceptEnv {' '.join(accepted) or 'NO_SUCH_VARIABLE'}"
    if transport is Transport.STDIO and shared:
        return [
            "#",
            f"# 2. The line closes forwarding, terminals and agents. sshd must let {user} log in by",
            "# key and make no tunnels (no key option closes those). Debian's default does both,",
            "# and nothing has to change:",
            *(_ROOT_LOGIN if user == "root" else ()),
            "#   PermitTunnel no                         # the default",
            "# Advisable: where sshd takes variables (Debian: LANG and LC_*), a login shell",
            "# reads them before any forced command. These settings keep them out, yours too,",
            "# and end a run soon after the network fails:",
            f"# {_FILE if user == 'root' else f'as root, {_FILE}'}",
            f"#   Match User {user}",
            *(f"#       {setting}" for setting in (variables, *_ALIVE)),
        ]
    settings = (*(_SOCKET_ONLY if transport is Transport.SOCKET else _NO_FORWARDING), *_COMMON, *_ALIVE, variables)
    reason = (
        "These settings are needed: no key option closes what they close."
        if transport is Transport.SOCKET
        else "Optional: the key line alone closes all this but tunnels; a second guard does no harm."
    )
    instead = "--login sudo" if user == "root" else "stdio"
    note = (
        [f"# Note: they take terminals and forwarding from every login of {user}, yours too. Better use {instead}."]
        if shared
        else []
    )
    return [
        *("#", f"# 2. For sshd, {_FILE}", f"# {reason}"),
        *note,
        f"#   Match User {user}",
        *(f"#       {setting}" for setting in settings),
    ]


def directory(path: str, user: str) -> list[str]:
    """Return the line that makes the socket directory again after each boot (tmpfiles.d(5))."""
    return [
        "#",
        "# 4. The directory for sockets must exist after each boot: in /etc/tmpfiles.d/borgctl.conf",
        f"#   d {path} 0700 {user} -",
    ]
