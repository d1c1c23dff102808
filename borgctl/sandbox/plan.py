"""Plan and apply the sandbox: what the kernel lets borg and its relay do, whatever input they get.

Where the gate is root, they run as another user who may read every file but has no other right of root, in their own
namespaces. Landlock leaves them the command's files, their own programs, and one place to write. seccomp leaves them
the system calls that they need. This module does not know why: the caller says what may be read.

    sandbox = prepare("require", "_borgctl", "/usr/bin/borg")      # raises where a part is missing
    rules = sandbox.rules("/usr/bin/borg", relay, writes=["/var/lib/borgctl/web1/borg"], reads=["/etc"])
    child = confinement(sandbox, rules, memory=8 << 30); spawn(…, before_exec=child.apply, kinds=child.kinds)
"""

import glob
import os
import sys
from collections.abc import Iterable

from borgctl.data_class import dataclass
from borgctl.errors import BadValue, BorgctlError
from borgctl.process import namespaces
from borgctl.process.spawn import Confinement
from borgctl.sandbox import landlock, privileges, program_files, seccomp
from borgctl.sandbox.landlock import DEVICE, EXECUTE, LIST, READ, WRITE
from borgctl.sandbox.privileges import Account

# What borg looks up through the C library: names of users and hosts, time zones, random numbers.
_LOOKUPS = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/userdb", "/run/systemd/userdb", "/var/lib/sss/mc"),
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf", "/etc/localtime", "/usr/share/zoneinfo"),
    *("/etc/ssl/openssl.cnf", "/usr/share/crypto-policies", "/dev/urandom", "/dev/random"),
)
_SITE = "/etc/python3*"  # Debian's sitecustomize.py

Rule = tuple[str, str]  # right, path


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How borg is confined.

    `abi` is Landlock's (0: without), `account` the user that borg runs as (None: the gate's), `namespaces` its own
    namespaces (0: none); `missing` says why a part is missing.
    """

    abi: int
    account: Account | None
    namespaces: int = 0
    missing: tuple[str, ...] = ()

    @property
    def record(self) -> dict[str, object]:
        """Return the sandbox's entry for a record."""
        return {
            "landlock": self.abi,
            "user": owner(self)[0],
            "namespaces": namespaces.names(self.namespaces),
            "lacks": list(self.lacks),
            **({"missing": list(self.missing)} if self.missing else {}),
        }

    @property
    def lacks(self) -> tuple[str, ...]:
        """Return what this machine cannot forbid."""
        return (
            *(landlock.lacking(self.abi) if self.abi else ("files",)),
            *(() if seccomp.available() else ("system calls",)),
            *(("namespaces",) if os.geteuid() == 0 and not self.namespaces else ()),
        )

    def rules(
        self,
        borg: str,
        relay: str,
        writes: Iterable[str],
        reads: Iterable[str] = (),
        lists: Iterable[str] = (),
        devices: Iterable[str] = (),
    ) -> tuple[Rule, ...]:
        """Return the rules that let Landlock allow these paths and all below; of `lists`, no file's content.

        Of `devices`, those below /dev or behind a symlink count: a block device there when the rules are applied.

        Raise BorgctlError where it is unknown what borg needs to run.
        """
        if not self.abi:
            return ()
        try:
            own, python = program_files.needed(borg), program_files.python(sys.executable)
        except BadValue as error:
            raise BorgctlError("sandbox-unavailable", str(error)) from None
        except OSError as error:
            raise BorgctlError("borg-missing", f"{borg!r}: {error.strerror}") from None
        wanted = [
            *((EXECUTE, path) for path in (*own.files, *python.files)),
            *((READ, path) for path in (*own.libraries, *python.libraries, relay, *_LOOKUPS, *glob.glob(_SITE))),
            *((READ, path) for path in reads if not _leads(path)),  # borg saves a symlink as a symlink
            *((LIST, path) for path in lists),
            *((DEVICE, path) for path in devices if _leads(path)),
            *((WRITE, path) for path in (*writes, "/dev/null")),
        ]
        return tuple(dict.fromkeys(wanted))

    def apply(self, rules: Iterable[Rule]) -> None:
        """Confine the calling process, a child before its exec, for good; raise OSError where any part fails."""
        ruleset = None
        if self.abi:
            ruleset = landlock.Ruleset(self.abi)
            for what, path in rules:
                ruleset.allow(path, what)
        privileges.limit()
        privileges.leave_keyring()
        if self.account:  # what CAP_FOWNER permits in directories Landlock forbids; what on files, the filter
            privileges.become(self.account, noatime=bool(self.abi) and seccomp.available())
        if ruleset:
            ruleset.restrict()
        seccomp.forbid()


def _leads(path: str) -> bool:
    """Tell whether the data of a path is elsewhere: behind a symlink, or on a device."""
    return path.startswith("/dev/") or os.path.islink(path)


def owner(sandbox: Sandbox | None) -> tuple[int, int]:
    """Return the uid and gid that borg runs as."""
    if sandbox is None or sandbox.account is None:
        return os.geteuid(), os.getegid()
    return sandbox.account.uid, sandbox.account.gid


def confinement(sandbox: Sandbox | None, rules: Iterable[Rule], memory: int) -> Confinement:
    """Return what confines a child: these rules, and `memory` bytes of address space."""

    def apply() -> None:
        if sandbox:
            sandbox.apply(rules)
        privileges.limit_memory(memory)

    return Confinement(apply, sandbox.namespaces if sandbox else 0)


def prepare(mode: str, user: str, borg: str) -> Sandbox | None:
    """Return how this borg can be confined: None for `off`; raise BorgctlError for `require` where a part is missing.

    `prefer` uses the available parts, at least the limits.
    """
    if mode == "off":
        return None
    abi, account, kinds, missing = landlock.abi(), None, 0, []
    if not abi:
        missing.append("this kernel has no Landlock, or refuses it to us")
    elif unknown := unconfined(borg):
        abi = 0
        missing.append(unknown)
    if os.geteuid() == 0:
        try:
            account = privileges.account(user)
        except BadValue as error:
            missing.append(f"{error}: make one with 'useradd --system --shell /usr/sbin/nologin {user}'")
        kinds = namespaces.ALL if namespaces.possible(namespaces.ALL) else 0
        if not kinds:
            missing.append("this machine lets us make no namespaces: give the container CAP_SYS_ADMIN, or use 'prefer'")
    if missing and mode == "require":
        raise BorgctlError("sandbox-unavailable", "; ".join(missing))
    return Sandbox(abi, account, kinds, tuple(missing))


def unconfined(borg: str) -> str | None:
    """Return why Landlock cannot confine this borg, None where it can, or where borg is missing."""
    try:
        program_files.needed(borg)
    except BadValue as error:
        return f"the files that borg may open cannot be confined: {error}"
    except OSError:  # it is missing, which is another reason code
        return None
    return None
