"""The second wall: what the kernel lets borg and its relay do, whatever reaches them.

Where the gate is root they run as another user who may read every file and has no other right of root's, in namespaces
of their own; Landlock leaves them the files that the launch is about, the programs that they are, and one place to
write; seccomp the system calls that they need. It does not know why: what may be read comes in.

    held = prepare("require", "_borgctl", "/usr/bin/borg")      # raises where that cannot be had
    rules = held.rules("/usr/bin/borg", relay, writes=["/var/lib/borgctl/web1/borg"], reads=["/etc"])
    held_to = wall(held, rules, memory=8 << 30); spawn(…, before_exec=held_to.lay, kinds=held_to.kinds)
"""

import glob
import os
import sys
from collections.abc import Iterable

from borgctl.data_class import dataclass
from borgctl.errors import BadValue, BorgctlError
from borgctl.process import namespaces
from borgctl.process.spawn import Wall
from borgctl.sandbox import landlock, privileges, program_files, seccomp
from borgctl.sandbox.landlock import DEVICE, EXECUTE, LIST, READ, WRITE
from borgctl.sandbox.privileges import Account

# What borg asks the C library for: names of users and hosts, time zones, random numbers.
_LOOKUPS = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/userdb", "/run/systemd/userdb", "/var/lib/sss/mc"),
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf", "/etc/localtime", "/usr/share/zoneinfo"),
    *("/etc/ssl/openssl.cnf", "/usr/share/crypto-policies", "/dev/urandom", "/dev/random"),
)
_SITE = "/etc/python3*"  # Debian's sitecustomize.py

Rule = tuple[str, str]  # what, path


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How borg is held.

    `abi` is Landlock's (0: without), `account` whom borg runs as (None: as whom the gate does), `namespaces` which of
    its own it has (0: none); `missing` says why a part is not there.
    """

    abi: int
    account: Account | None
    namespaces: int = 0
    missing: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, object]:
        """Return what a record says of it."""
        return {
            "landlock": self.abi,
            "user": owner(self)[0],
            "namespaces": namespaces.names(self.namespaces),
            "lacks": list(self.lacks),
            **({"missing": list(self.missing)} if self.missing else {}),
        }

    @property
    def lacks(self) -> tuple[str, ...]:
        """Return what cannot be forbidden on this machine."""
        return (
            *(landlock.lacking(self.abi) if self.abi else ("files",)),
            *(() if seccomp.known() else ("system calls",)),
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
        """Return what Landlock is to allow, for what is at these paths and all below; of `lists`, no file's content.

        Of `devices`, those below /dev or behind a symlink: a block device that is there when the rules are laid.

        Raise BorgctlError where it cannot be told what borg needs to run.
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
            *((READ, path) for path in reads if not _leads(path)),  # borg saves a link as a link
            *((LIST, path) for path in lists),
            *((DEVICE, path) for path in devices if _leads(path)),
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
        privileges.limit()
        privileges.leave_keyring()
        if self.account:
            privileges.become(self.account)
        if ruleset:
            ruleset.restrict()
        seccomp.forbid()


def _leads(path: str) -> bool:
    """Tell whether what is at a path is elsewhere: behind a symlink, or on a device."""
    return path.startswith("/dev/") or os.path.islink(path)


def owner(held: Sandbox | None) -> tuple[int, int]:
    """Return the uid and gid that borg runs as."""
    if held is None or held.account is None:
        return os.geteuid(), os.getegid()
    return held.account.uid, held.account.gid


def wall(held: Sandbox | None, rules: Iterable[Rule], memory: int) -> Wall:
    """Return what holds a child, by these rules and to so many bytes of address space."""

    def lay() -> None:
        if held:
            held.lay(rules)
        privileges.limit_memory(memory)

    return Wall(lay, held.namespaces if held else 0)


def prepare(mode: str, user: str, borg: str) -> Sandbox | None:
    """Return how this borg can be held: None for `off`; raise BorgctlError for `require` where something is missing.

    `prefer` takes what there is, down to nothing but the limits.
    """
    if mode == "off":
        return None
    abi, account, kinds, missing = landlock.abi(), None, 0, []
    if not abi:
        missing.append("this kernel has no Landlock, or does not let us use it")
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
            missing.append("this machine lets us have no namespaces: give a container CAP_SYS_ADMIN, or say 'prefer'")
    if missing and mode == "require":
        raise BorgctlError("sandbox-unavailable", "; ".join(missing))
    return Sandbox(abi, account, kinds, tuple(missing))


def unconfined(borg: str) -> str | None:
    """Return why Landlock cannot confine this borg, None where it can, or where there is none."""
    try:
        program_files.needed(borg)
    except BadValue as error:
        return f"the files that borg may open cannot be confined: {error}"
    except OSError:  # it is missing, which is another reason
        return None
    return None
