"""ssh: the argv, environment and known_hosts file of one connection, built and never inherited.

The admin's ssh_config stays in use (ProxyJump, Hostname, …). The options here come first, and ssh takes the first value
that it finds (ssh_config(5)). The host's key is known by the alias `borgpull-TARGET` alone, so neither the host's
address nor its port matters. Needs OpenSSH 8.5 or later. `SendEnv` of the admin's file finds nothing to send.

    argv(target, request="hello --log=json", known_hosts="/run/…/known_hosts", aes=True)
"""

import re

from borgctl.data_class import dataclass
from borgctl.pull.targets.paths import own_account
from borgctl.pull.targets.targets import Target

PROGRAM = "/usr/bin/ssh"
PATH = "/usr/bin:/bin"
PATIENCE = 60  # seconds until the client's sshd answers, key exchange included
ALIVE_INTERVAL, ALIVE_COUNT = 30, 3  # ssh gives up after so many unanswered questions, one every so many seconds
AES = (
    "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"  # '^': before all others, which stay (1.7 times chacha20's speed)
)


@dataclass(frozen=True, slots=True)
class Forward:
    """A unix socket of ours, forwarded to a name in the client's socket directory."""

    remote: str
    local: str


def argv(target: Target, request: str, known_hosts: str, aes: bool, forward: Forward | None = None) -> list[str]:
    """Return ssh's argv; the request is one argument, so the client's sshd gets it as one word."""
    assert target.host is not None
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "KnownHostsCommand": "none",
        "VerifyHostKeyDNS": "no",
        "HostKeyAlias": alias(target),
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "PreferredAuthentications": "publickey",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": target.identity,
        "ExitOnForwardFailure": "yes",
        "ConnectTimeout": str(PATIENCE),
        "ServerAliveInterval": str(ALIVE_INTERVAL),
        "ServerAliveCountMax": str(ALIVE_COUNT),
        "ControlMaster": "no",
        "ControlPath": "none",
        "Tunnel": "no",
        "PermitLocalCommand": "no",
        "RemoteCommand": "none",
        "EscapeChar": "none",
        "Compression": "no",
        "LogLevel": "ERROR",
    }
    if aes:
        options["Ciphers"] = AES
    if forward is None:
        options["ClearAllForwardings"] = "yes"  # with -R it would clear that one too (ssh_config(5))
    words = [PROGRAM, "-T", "-a", "-x"]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    if target.port is not None:
        words += ["-p", str(target.port)]
    if forward is not None:
        words += ["-R", f"{forward.remote}:{forward.local}"]
    return [*words, "--", target.host, request]


def environment() -> dict[str, str]:
    """Return ssh's environment: the account's, no agent, and nothing that SendEnv could pick up."""
    user = own_account()
    return {"HOME": user.pw_dir, "PATH": PATH, "USER": user.pw_name, "LOGNAME": user.pw_name}


def known_hosts(target: Target) -> str:
    """Return the known_hosts file: one line, for the alias that `argv` gives."""
    return f"{alias(target)} {target.host_key}\n"


def alias(target: Target) -> str:
    """Return the name under which ssh looks up the host's key; ssh compares it in lower case."""
    return f"borgpull-{target.name}".lower()


def processor_has_aes(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Tell whether the processor has AES instructions (flags on x86, Features on ARM)."""
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            return bool(re.search(r"^(?:flags|Features)\s*:.*\baes\b", file.read(1 << 20), re.MULTILINE))
    except OSError:
        return False
