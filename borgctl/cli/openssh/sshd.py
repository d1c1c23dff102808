"""sshd's settings for one login, by its own answer (`sshd -T -C user=…,host=…,addr=…`): we do not interpret its files.

settings = ask(Question("root", "192.0.2.1"))
settings.value("permittty") == "yes"     settings.describe("permittty") == "PermitTTY yes (the default of sshd)"
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from borgctl.cli.openssh import sshd_config_lines
from borgctl.cli.openssh.sshd_config_lines import Configuration

CONFIG = "/etc/ssh/sshd_config"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_NAMES = (
    *("AcceptEnv", "AllowAgentForwarding", "AllowStreamLocalForwarding", "AllowTcpForwarding", "AuthenticationMethods"),
    *(
        "AuthorizedKeysCommand",
        "AuthorizedKeysFile",
        "DisableForwarding",
        "ForceCommand",
        "GatewayPorts",
        "MaxSessions",
    ),
    *("PermitListen", "PermitOpen", "PermitRootLogin", "PermitTTY", "PermitTunnel", "PermitUserEnvironment"),
    *("PermitUserRC", "PubkeyAuthentication", "StreamLocalBindMask", "StreamLocalBindUnlink", "StrictModes"),
    *("TrustedUserCAKeys", "X11Forwarding", "ChrootDirectory", "DenyUsers", "AllowUsers", "DenyGroups", "AllowGroups"),
)
_SPELLED = {name.lower(): name for name in _NAMES}

_NO_FILES = Configuration((), ())


class Unseen(Exception):  # noqa: N818 - reads as what it says where it is caught
    """Something cannot be seen from here: the message says what, `change` how to see it."""

    def __init__(self, text: str, change: str | None = None) -> None:
        super().__init__(text)
        self.change = change


@dataclass(frozen=True, slots=True)
class Question:
    """A login and the address it comes from; `config` is sshd's configuration file."""

    user: str
    addr: str
    host: str | None = None
    config: str = CONFIG

    @property
    def specification(self) -> str:
        """Return it in the form of sshd(8) -C: all that a Match block can test."""
        return f"user={self.user},host={self.host or self.addr},addr={self.addr},laddr=127.0.0.1,lport=22"


@dataclass(frozen=True, slots=True)
class Settings:
    """sshd's answer, by keyword in lower case: one value for each line, in order."""

    values: Mapping[str, tuple[str, ...]]
    configuration: Configuration = _NO_FILES

    def value(self, keyword: str, default: str = "none") -> str:
        """Return the value of a keyword that occurs once."""
        return self.values.get(keyword, (default,))[0]

    def words(self, keyword: str) -> tuple[str, ...]:
        """Return all words of a keyword, from all its lines."""
        return tuple(word for value in self.values.get(keyword, ()) for word in value.split())

    def yes(self, keyword: str) -> bool:
        """Tell whether a setting is on."""
        return self.value(keyword, "no") == "yes"

    def describe(self, keyword: str, value: str | None = None) -> str:
        """Return a setting and its place, for people."""
        text = self.value(keyword) if value is None else value
        place = self.configuration.place(keyword, text.partition(" ")[0])
        return f"{_SPELLED.get(keyword, keyword)} {text} ({place or 'the default of sshd'})"


def ask(question: Question) -> Settings:
    """Return the settings; raise Unseen where sshd does not answer."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", question.user):
        raise Unseen(f"sshd cannot be asked for a user named {question.user!r}")
    program = shutil.which("sshd", path=_PATH)
    if program is None:
        raise Unseen("no sshd in /usr/sbin", "apt-get install openssh-server, if this machine is to be pulled over ssh")
    argv = [program, "-T", "-f", question.config, "-C", question.specification]
    code, out, err = _run(argv)
    if code != 0 and "no hostkeys available" in err:  # only root can read them; any key will do, as nobody connects
        code, out, err = _with_a_host_key(argv)
    if code != 0:
        raise Unseen(f"sshd -T failed: {_last(err)}", _advice(err))
    return Settings(settings(out), sshd_config_lines.read(question.config))


def settings(text: str) -> dict[str, tuple[str, ...]]:
    """Read what `sshd -T` prints."""
    values: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        values[keyword.lower()] = (*values.get(keyword.lower(), ()), value)
    return values


def _with_a_host_key(argv: list[str]) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory(prefix="borgctl-doctor-") as directory:
        key = f"{directory}/key"
        made = _run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        return _run([*argv, "-o", f"HostKey={key}"]) if made[0] == 0 else made


def _run(argv: list[str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            argv,
            env={"PATH": _PATH, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except OSError as error:
        return 127, "", f"{argv[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} did not end"
    return done.returncode, done.stdout, done.stderr


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"


def _advice(text: str) -> str | None:
    if "privilege separation" in text:
        return "install -d -m 0755 /run/sshd (it is missing until sshd has started once), then ask again"
    if "Permission denied" in text or os.geteuid() != 0:
        return "ask again as root"
    return "correct sshd's configuration; sshd -t shows the error"
