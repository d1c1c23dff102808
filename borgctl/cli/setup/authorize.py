"""`borgctl authorize`: the key line and what it needs, so that a server's key starts the gate and nothing else.

Nothing is written; the text names the file that each piece belongs into. Sources: sshd(8) AUTHORIZED_KEYS FILE FORMAT,
sshd_config(5), sudoers(5). The tests in tests/e2e try each printed line against a real sshd.

    render(Authorization("ssh-ed25519 AAAA… borgpull-web1", "/etc/borgctl/web1.yaml"))
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
from borgctl.policy.model import Policy
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
class Authorization:
    """A key, the policy that it is to have, and how it gets there."""

    key: str
    policy: str
    transport: Transport = Transport.STDIO
    login: Login = Login.AUTO
    source: str | None = None
    host_key: str = "/etc/ssh/ssh_host_ed25519_key.pub"


def render(wanted: Authorization) -> str:
    """Return the text, in which only the key line is no comment; raise BadValue for what cannot be quoted.

    It has a warning where the policy, or what the gate needs, cannot be used.
    """
    key = PublicKey.read(wanted.key)
    login = wanted.login
    if login is Login.AUTO:
        login = Login.ROOT if os.geteuid() == 0 else Login.USER
    user = {Login.ROOT: "root", Login.SUDO: "borgctl"}.get(login) or _own_name()
    gate = gate_argv.build(_plain(wanted.policy), key.fingerprint, _plain(sys.executable))
    home = "/root" if user == "root" else f"~{user}"
    policy = _policy(wanted.policy)
    warnings = [*_warnings(wanted, policy, gate[0]), *_earlier_lines(key, user)]
    accepted = _accepted(policy)
    parts = [
        *(f"# Warning: {text}" for text in warnings),
        f"# 1. On this machine, add this line to {home}/.ssh/authorized_keys:",
        f"{key_options(wanted, gate, sudo=login is Login.SUDO)} {key}",
        *(sshd_settings.sudo_rule(gate, accepted) if login is Login.SUDO else ()),
        *sshd_settings.sshd(wanted.transport, user, accepted, shared=login is not Login.SUDO),
        *_trust(wanted.host_key, key.comment),
        *(sshd_settings.directory(_socket_directory(policy), user) if wanted.transport is Transport.SOCKET else ()),
        *_check(wanted, user),
    ]
    return "\n".join(parts) + "\n"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise BadValue(f"the user with uid {os.geteuid()} has no name: say --login root or --login sudo") from None


def key_options(wanted: Authorization, gate: list[str], *, sudo: bool) -> str:
    """Return the options of the key line; `restrict` comes first, because it resets what stands before it."""
    options = ["restrict"]
    if wanted.transport is Transport.SOCKET:
        # Naming one port closes all others, and direct unix sockets with them
        options += ["port-forwarding", 'permitopen="localhost:1"', 'permitlisten="localhost:1"']
    if wanted.source is not None:
        if not re.fullmatch(r"[A-Za-z0-9.:*?!,/_-]{1,500}", wanted.source):
            raise BadValue(f"bad --from {wanted.source!r}: expected addresses, names or patterns joined by commas")
        options.append(f'from="{wanted.source}"')
    command = ["sudo", "-n", *gate] if sudo else gate
    return ",".join([*options, f'command="exec {shlex.join(command)}"'])


def _plain(path: str) -> str:
    if not _PLAIN.fullmatch(path) or os.path.normpath(path) != path:
        raise BadValue(f"bad path {path!r}: a key line needs an absolute path of letters, digits and _./+-")
    return path


def _policy(file: str) -> Policy | BorgctlError:
    """Read the policy; return the error where it cannot be used."""
    try:
        return load.read(file)
    except BorgctlError as error:
        return error


def _accepted(policy: Policy | BorgctlError) -> tuple[str, ...]:
    """Return the variables that the gate would take from the server: sshd and sudo have to pass them on."""
    if isinstance(policy, BorgctlError):
        return ()
    return (*(sorted(CARRIERS) if policy.published else ()), *sorted(policy.environment.accept))


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
        "# 3. On the server, which then knows this machine by its host key:",
        f"#   borgpull trust {target} '{host_key}'",
    ]


def _warnings(wanted: Authorization, policy: Policy | BorgctlError, python: str) -> Iterator[str]:
    """Yield why the gate would refuse, or what another user could change."""
    if isinstance(policy, BorgctlError):
        yield f"the gate would refuse: {policy.detail}"
    else:
        yield from _policy_warnings(wanted, policy)
    try:
        SecurePath.at(python).close()
    except (OSError, InsecurePath) as error:
        yield f"the Python interpreter: {error}"


def _policy_warnings(wanted: Authorization, policy: Policy) -> Iterator[str]:
    if wanted.transport not in policy.transports:
        offer = f"write 'transports: [stdio, {wanted.transport}]' there"
        yield f"{wanted.policy} does not offer this transport: {offer}"
    try:
        plan.prepare(policy.sandbox, policy.user, policy.borg)
        if policy.passphrase.file:
            SecurePath.at(policy.passphrase.file).close()
    except BorgctlError as error:
        yield f"the gate would refuse: {error.detail}"
    except (OSError, InsecurePath) as error:
        yield f"the passphrase: {error}"


def _socket_directory(policy: Policy | BorgctlError) -> str:
    """Return the policy's directory for sockets, or the default where the policy cannot be used."""
    return "/run/borgctl" if isinstance(policy, BorgctlError) else policy.socket_directory


def _earlier_lines(key: PublicKey, user: str) -> Iterator[str]:
    """Yield a warning for each line that has the same key already: sshd takes the first."""
    try:
        login = Account.named(user)
    except BadValue:
        return  # the user does not exist yet
    for file in (f"{login.home}/.ssh/authorized_keys", f"{login.home}/.ssh/authorized_keys2"):
        with contextlib.suppress(Unseen):
            for line in keyfiles.read(file, login.uid):
                if line.blob == key.blob:
                    yield f"{line.place} has this key already and would come first: put the new line in its place"


def _check(wanted: Authorization, user: str) -> list[str]:
    """Return the command that shows afterwards whether anything else is open."""
    login = "" if user in ("root", "borgctl") or os.geteuid() != 0 else f" --login {user}"
    address = wanted.source if wanted.source and re.fullmatch(r"[0-9a-fA-F.:]+", wanted.source) else "ADDRESS"
    return [
        "#",
        "# Then check what this key can do, and whether a pull will work:",
        *(["# (ADDRESS is the server's)"] if address == "ADDRESS" else []),
        f"#   borgctl doctor{login} --addr {address}",
    ]
