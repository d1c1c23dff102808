"""Key lines: what to put where so that one server key may start the gate and nothing else.

Nothing is written; the text says for each piece in which file it belongs. Sources: sshd(8) AUTHORIZED_KEYS FILE FORMAT,
sshd_config(5), sudoers(5); each line printed is tried against a real sshd in tests/e2e.
"""

import base64
import binascii
import hashlib
import os
import pwd
import re
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum

from borgctl import policyfile, sandbox
from borgctl.custody import Pinned, Unsafe
from borgctl.errors import BadValue, BorgctlError
from borgctl.request import CARRIERS

_TYPES = r"ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa|sk-ssh-ed25519@openssh\.com"
_LINE = re.compile(rf"({_TYPES}) ([A-Za-z0-9+/]+={{0,2}})(?: ([A-Za-z0-9@._-]{{0,100}}))?")
# Means the same to sh, to the quotes of authorized_keys and to sudoers
_PLAIN = re.compile(r"/[A-Za-z0-9_./+-]*")


class Transport(StrEnum):
    """The two transports that go over ssh."""

    STDIO = "stdio"
    SOCKET = "socket"


class Login(StrEnum):
    """Who logs in: AUTO is root or the ordinary user who asks."""

    AUTO = "auto"
    ROOT = "root"
    USER = "user"
    SUDO = "sudo"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, checked: the type that its text says is the one inside."""

    kind: str
    blob: str
    comment: str

    @classmethod
    def read(cls, text: str) -> "PublicKey":
        """Read a key's text, or the file of that name."""
        if not text.startswith(("ssh-", "ecdsa-", "sk-")):
            try:
                with open(text, encoding="ascii") as file:
                    text = file.read(16384)
            except (OSError, UnicodeDecodeError):
                raise BadValue(f"{text[:60]!r} is neither a public key nor a file that holds one") from None
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise BadValue("not a public key: expected 'ssh-ed25519 AAAA… comment', without options before it")
        kind, blob, comment = match.groups(default="")
        try:
            inside = base64.b64decode(blob, validate=True)
        except binascii.Error:
            raise BadValue("not a public key: its base64 is damaged") from None
        if inside[4 : 4 + int.from_bytes(inside[:4], "big")] != kind.encode():
            raise BadValue(f"not a public key: it does not hold the {kind!r} that it says")
        return cls(kind, blob, comment)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as ssh-keygen -l prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    def __str__(self) -> str:
        return f"{self.kind} {self.blob} {self.comment}".rstrip()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be printed."""

    key: str
    policy: str
    transport: Transport = Transport.STDIO
    login: Login = Login.AUTO
    source: str | None = None
    host_key: str = "/etc/ssh/ssh_host_ed25519_key.pub"


def authorized(order: Order) -> str:
    """Return the text; the key line alone is no comment. Raise BadValue for what cannot be quoted."""
    key = PublicKey.read(order.key)
    login = order.login
    if login is Login.AUTO:
        login = Login.ROOT if os.geteuid() == 0 else Login.USER
    user = {Login.ROOT: "root", Login.SUDO: "borgctl"}.get(login) or _ourselves()
    gate = [
        _plain(sys.executable),
        "-I",
        "-m",
        "borgctl.gate",
        "--policy",
        _plain(order.policy),
        "--key",
        key.fingerprint,
    ]
    home = "/root" if user == "root" else f"~{user}"
    remarks = _remarks(order, gate[0])
    accepted = _accepted(order.policy)
    parts = [
        *(f"# Warning: {text}" for text in remarks),
        f"# 1. On this machine, add this line to {home}/.ssh/authorized_keys:",
        f"{key_options(order, gate, sudo=login is Login.SUDO)} {key}",
        *(_sudo_rule(gate, accepted) if login is Login.SUDO else ()),
        *_sshd(order.transport, user, accepted),
        *_trust(order.host_key, key.comment),
        *(_directory(order, user) if order.transport is Transport.SOCKET else ()),
    ]
    return "\n".join(parts) + "\n"


def _ourselves() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise BadValue(f"the user with uid {os.geteuid()} has no name: say --login root or --login sudo") from None


def key_options(order: Order, gate: list[str], *, sudo: bool) -> str:
    """Return the options of the key line; `restrict` comes first, because it resets what stands before it."""
    options = ["restrict"]
    if order.transport is Transport.SOCKET:
        # Naming one port closes all others, and direct unix sockets with them
        options += ["port-forwarding", 'permitopen="localhost:1"', 'permitlisten="localhost:1"']
    if order.source is not None:
        if not re.fullmatch(r"[A-Za-z0-9.:*?!,/_-]{1,500}", order.source):
            raise BadValue(f"bad --from {order.source!r}: expected addresses, names or patterns joined by commas")
        options.append(f'from="{order.source}"')
    command = ["sudo", "-n", *gate] if sudo else gate
    return ",".join([*options, f'command="exec {shlex.join(command)}"'])


def _plain(path: str) -> str:
    if not _PLAIN.fullmatch(path) or os.path.normpath(path) != path:
        raise BadValue(f"bad path {path!r}: a key line needs an absolute path of letters, digits and _./+-")
    return path


def _accepted(policy: str) -> tuple[str, ...]:
    """Return the variables that the gate would take from the server; sshd and sudo have to let them through."""
    try:
        read = policyfile.read(policy)
    except BorgctlError:
        return ()
    return (*(sorted(CARRIERS) if read.published else ()), *sorted(read.environment.accept))


def _sudo_rule(gate: list[str], accepted: tuple[str, ...]) -> list[str]:
    kept = " ".join(("SSH_ORIGINAL_COMMAND", "SSH_CONNECTION", *accepted))
    words = " ".join(re.sub(r"([,:=\\])", r"\\\1", word) for word in gate)
    return [
        "#",
        "# Make the user (no password, no other group) and the sudo rule, with visudo -f /etc/sudoers.d/borgctl:",
        "#   useradd --system --create-home --home-dir /var/lib/borgctl-login --shell /bin/sh --password '*' borgctl",
        f'#   Defaults!{gate[0]} env_keep += "{kept}", !use_pty',
        f"#   borgctl ALL=(root) NOPASSWD: {words}",
    ]


_NO_FORWARDING = ("DisableForwarding yes",)
_SOCKET_ONLY = (
    "AllowTcpForwarding remote          # 'no' would close the one forwarding that is wanted",
    "AllowStreamLocalForwarding remote",
    "PermitListen none",
    "PermitOpen none",
    "StreamLocalBindUnlink no           # 'yes' lets the server delete any file of this user",
    "StreamLocalBindMask 0177",
    "UnusedConnectionTimeout 60         # OpenSSH 9.2 or later",
)
_COMMON = (
    "AllowAgentForwarding no",
    "X11Forwarding no",
    "PermitTunnel no",
    "PermitTTY no",
    "PermitUserRC no",
    "ClientAliveInterval 30",
    "ClientAliveCountMax 3",
)


def _sshd(transport: Transport, user: str, accepted: tuple[str, ...]) -> list[str]:
    """Return the drop-in: needed for sockets; over stdio a second lock, for a login user of its own.

    In a Match block AcceptEnv stands for all others, so it names what the policy takes, or a variable that nobody has.
    """
    variables = f"AcceptEnv {' '.join(accepted) or 'NO_SUCH_VARIABLE'}"
    if transport is Transport.STDIO and user == "root":
        return [
            "#",
            "# 2. sshd needs nothing more: the key line closes forwarding, terminals and agents.",
            "# Where sshd takes variables (Debian: LANG and LC_*), a login shell reads them before any forced command.",
            "# This keeps them out, yours too: in /etc/ssh/sshd_config.d/50-borgctl.conf, then: systemctl reload ssh",
            f"#   Match User {user}",
            f"#       {variables}",
        ]
    settings = (*(_SOCKET_ONLY if transport is Transport.SOCKET else _NO_FORWARDING), *_COMMON, variables)
    need = (
        "These settings are needed: no key option closes what they close."
        if transport is Transport.SOCKET
        else "Optional: the key line alone closes all this; a second lock does no harm."
    )
    mind = (
        ["# Mind: they take terminals and forwarding from every login of root, yours too. Rather use --login sudo."]
        if user == "root"
        else []
    )
    return [
        *("#", "# 2. For sshd, in /etc/ssh/sshd_config.d/50-borgctl.conf, then: systemctl reload ssh", f"# {need}"),
        *mind,
        f"#   Match User {user}",
        *(f"#       {setting}" for setting in settings),
    ]


def _trust(path: str, comment: str) -> list[str]:
    """Return the line for the server, which pins this machine's host key."""
    target = comment.removeprefix("borgpull-") if comment.startswith("borgpull-") else "TARGET"
    try:
        host_key = PublicKey.read(path)
    except BadValue:
        return [
            "#",
            f"# 3. On the server: borgpull trust {target} 'HOST KEY'   (no host key could be read from {path})",
        ]
    return [
        "#",
        "# 3. On the server, so that it knows this machine:",
        f"#   borgpull trust {target} '{host_key.kind} {host_key.blob}'",
    ]


def _remarks(order: Order, python: str) -> list[str]:
    """Return what would make the gate refuse, or make it somebody else's."""
    found = []
    try:
        policy = policyfile.read(order.policy)
        if order.transport not in policy.transports:
            found.append(
                f"{order.policy} does not offer this transport: write 'transports: [stdio, {order.transport}]' there"
            )
        sandbox.hold(policy.sandbox, policy.user)
        if policy.passphrase.file:
            Pinned.at(policy.passphrase.file).close()
    except BorgctlError as error:
        found.append(f"the gate would refuse: {error.detail}")
    except (OSError, Unsafe) as error:
        found.append(f"the passphrase: {error}")
    try:
        Pinned.at(python).close()
    except (OSError, Unsafe) as error:
        found.append(f"the Python interpreter: {error}")
    return found


def _directory(order: Order, user: str) -> list[str]:
    """Return how the socket directory comes back after each start of the machine (tmpfiles.d(5))."""
    try:
        directory = policyfile.read(order.policy).socket_directory
    except BorgctlError:
        directory = "/run/borgctl"
    return [
        "#",
        "# 4. The directory for sockets, which must be there after each start: in /etc/tmpfiles.d/borgctl.conf",
        f"#   d {directory} 0700 {user} -",
    ]
