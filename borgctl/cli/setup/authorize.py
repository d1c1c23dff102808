"""Key lines: what to put where so that one server key may start the gate and nothing else.

Nothing is written; the text says for each piece in which file it belongs. Sources: sshd(8) AUTHORIZED_KEYS FILE FORMAT,
sshd_config(5), sudoers(5); each line printed is tried against a real sshd in tests/e2e.
"""

import contextlib
import os
import pwd
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from borgctl.cli.openssh import keyfiles
from borgctl.cli.openssh.login import Login as Account
from borgctl.cli.openssh.sshd import Unseen
from borgctl.cli.setup import sshd_settings
from borgctl.cli.setup.sshd_settings import Transport
from borgctl.errors import BadValue, BorgctlError
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.openssh_key import HostKey, PublicKey
from borgctl.policy import load
from borgctl.sandbox import plan
from borgctl.wire import gate_argv
from borgctl.wire.request_parser import CARRIERS

# Means the same to sh, to the quotes of authorized_keys and to sudoers
_PLAIN = re.compile(r"/[A-Za-z0-9_./+-]*")


class Login(StrEnum):
    """Who logs in: AUTO is root or the ordinary user who asks."""

    AUTO = "auto"
    ROOT = "root"
    USER = "user"
    SUDO = "sudo"


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
    gate = gate_argv.build(_plain(order.policy), key.fingerprint, _plain(sys.executable))
    home = "/root" if user == "root" else f"~{user}"
    remarks = [*_remarks(order, gate[0]), *_rivals(key, user)]
    accepted = _accepted(order.policy)
    parts = [
        *(f"# Warning: {text}" for text in remarks),
        f"# 1. On this machine, add this line to {home}/.ssh/authorized_keys:",
        f"{key_options(order, gate, sudo=login is Login.SUDO)} {key}",
        *(sshd_settings.sudo_rule(gate, accepted) if login is Login.SUDO else ()),
        *sshd_settings.sshd(order.transport, user, accepted, shared=login is not Login.SUDO),
        *_trust(order.host_key, key.comment),
        *(sshd_settings.directory(_sockets(order.policy), user) if order.transport is Transport.SOCKET else ()),
        *_proof(order, user),
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
        read = load.read(policy)
    except BorgctlError:
        return ()
    return (*(sorted(CARRIERS) if read.published else ()), *sorted(read.environment.accept))


def _trust(path: str, comment: str) -> list[str]:
    """Return the line for the server, which pins this machine's host key."""
    target = comment.removeprefix("borgpull-") if comment.startswith("borgpull-") else "TARGET"
    try:
        host_key = HostKey.from_file(path)
    except BadValue:
        return [
            "#",
            f"# 3. On the server: borgpull trust {target} 'HOST KEY'   (no host key could be read from {path})",
        ]
    return [
        "#",
        "# 3. On the server, so that it knows this machine:",
        f"#   borgpull trust {target} '{host_key}'",
    ]


def _remarks(order: Order, python: str) -> list[str]:
    """Return what would make the gate refuse, or make it somebody else's."""
    found = []
    try:
        policy = load.read(order.policy)
        if order.transport not in policy.transports:
            found.append(
                f"{order.policy} does not offer this transport: write 'transports: [stdio, {order.transport}]' there"
            )
        plan.prepare(policy.sandbox, policy.user, policy.borg)
        if policy.passphrase.file:
            SecurePath.at(policy.passphrase.file).close()
    except BorgctlError as error:
        found.append(f"the gate would refuse: {error.detail}")
    except (OSError, InsecurePath) as error:
        found.append(f"the passphrase: {error}")
    try:
        SecurePath.at(python).close()
    except (OSError, InsecurePath) as error:
        found.append(f"the Python interpreter: {error}")
    return found


def _sockets(policy: str) -> str:
    """Return the policy's directory for sockets, or the usual one where it cannot be read."""
    try:
        return load.read(policy).socket_directory
    except BorgctlError:
        return "/run/borgctl"


def _rivals(key: PublicKey, user: str) -> Iterator[str]:
    """Yield lines of the same key that would come before the one to be added: sshd takes the first."""
    try:
        home = Account.named(user).home
    except BadValue:
        return  # still to be made
    for file in (f"{home}/.ssh/authorized_keys", f"{home}/.ssh/authorized_keys2"):
        with contextlib.suppress(Unseen):
            for line in keyfiles.read(file):
                if line.blob == key.blob:
                    yield f"{line.place} has this key already and would come first: put the new line in its place"


def _proof(order: Order, user: str) -> list[str]:
    """Return how to see afterwards that nothing else is open."""
    login = "" if user in ("root", "borgctl") or os.geteuid() != 0 else f" --login {user}"
    address = order.source if order.source and re.fullmatch(r"[0-9a-fA-F.:]+", order.source) else "ADDRESS"
    return [
        "#",
        "# Then see what this key can do, and whether a pull will work:",
        *(["# (ADDRESS is the server's)"] if address == "ADDRESS" else []),
        f"#   borgctl doctor{login} --addr {address}",
    ]
