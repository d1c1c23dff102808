"""The second wall: what the kernel lets borg and its relay do, whatever reaches them.

Where the gate is root they run as another user who may read every file and has no other right of root's; Landlock
leaves them the files that the launch is about, the programs that they are, and one place to write. It does not know
why: what may be read comes in.

    held = hold("require", "_borgctl")                       # raises where that cannot be had
    rules = held.rules("/usr/bin/borg", relay, writes=["/var/lib/borgctl/web1/borg"], reads=["/etc"])
    spawn(…, before_exec=partial(held.lay, rules))
"""

import glob
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from borgctl import credentials, executables, landlock, sockets
from borgctl.credentials import Account
from borgctl.errors import BadValue, BorgctlError
from borgctl.landlock import EXECUTE, LIST, READ, WRITE

# What borg asks the C library for: names of users and hosts, time zones, random numbers.
_LOOKUPS = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/userdb", "/run/systemd/userdb", "/var/lib/sss/mc"),
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf", "/etc/localtime", "/usr/share/zoneinfo"),
    *("/etc/ssl/openssl.cnf", "/usr/share/crypto-policies", "/dev/urandom", "/dev/random"),
)
_SITE = "/etc/python3*"  # Debian's sitecustomize.py

Rule = tuple[str, str]  # what, path


@dataclass(frozen=True, slots=True)
class Held:
    """How borg is held: `abi` is Landlock's (0: without), `account` whom borg runs as (None: as whom the gate does)."""

    abi: int
    account: Account | None

    @property
    def told(self) -> dict[str, object]:
        """Return what a record says of it."""
        return {
            "landlock": self.abi,
            "user": owner(self)[0],
            "lacks": list(landlock.lacking(self.abi)) if self.abi else ["files"],
        }

    def rules(
        self, borg: str, relay: str, writes: Iterable[str], reads: Iterable[str] = (), lists: Iterable[str] = ()
    ) -> tuple[Rule, ...]:
        """Return what Landlock is to allow, for what is at these paths and all below; of `lists`, no file's content.

        Raise BorgctlError where it cannot be told what borg needs to run.
        """
        try:
            own, python = executables.needed(borg), executables.python(sys.executable)
        except BadValue as error:
            raise BorgctlError("sandbox-unavailable", str(error)) from None
        except OSError as error:
            raise BorgctlError("borg-missing", f"{borg!r}: {error.strerror}") from None
        wanted = [
            *((EXECUTE, path) for path in (*own.files, *python.files)),
            *((READ, path) for path in (*own.libraries, *python.libraries, relay, *_LOOKUPS, *glob.glob(_SITE))),
            *((READ, path) for path in reads if not os.path.islink(path)),  # borg saves a link as a link
            *((LIST, path) for path in lists),
            *((WRITE, path) for path in (*writes, "/dev/null")),
        ]
        return tuple(dict.fromkeys(wanted))

    def lay(self, rules: Iterable[Rule]) -> None:
        """Hold the calling process, a child about to exec, for good; raise OSError where any part of it fails."""
        ruleset = None
        if self.abi:
            ruleset = landlock.Ruleset(self.abi)
            for what, path in rules:
                ruleset.allow(path, what)
        credentials.limit()
        if self.account:
            credentials.become(self.account)
        if ruleset:
            ruleset.restrict()
            sockets.forbid_streams()


def owner(held: Held | None) -> tuple[int, int]:
    """Return the uid and gid that borg runs as."""
    if held is None or held.account is None:
        return os.geteuid(), os.getegid()
    return held.account.uid, held.account.gid


def hold(mode: str, user: str) -> Held | None:
    """Return how borg can be held: None for `off`; raise BorgctlError for `require` where something is missing.

    `prefer` takes what there is, down to nothing but the limits.
    """
    if mode == "off":
        return None
    abi, account, missing = landlock.abi(), None, []
    if not abi:
        missing.append("this kernel has no Landlock, or does not let us use it")
    if os.geteuid() == 0:
        try:
            account = credentials.account(user)
        except BadValue as error:
            missing.append(f"{error}: make one with 'useradd --system --shell /usr/sbin/nologin {user}'")
    if missing and mode == "require":
        raise BorgctlError("sandbox-unavailable", "; ".join(missing))
    return Held(abi, account)
