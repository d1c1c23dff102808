"""An account of this machine, as in passwd(5), and whether a file belongs to it or root alone.

account = Login.named("root"); trouble("/root/.ssh/authorized_keys", account.owners) is None
"""

import os
import pwd
import stat
from dataclasses import dataclass

from borgctl.errors import BadValue
from borgctl.fs.secure_path import InsecurePath, SecurePath, directory, others_may_replace


@dataclass(frozen=True, slots=True)
class Login:
    """An account that sshd lets in."""

    name: str
    uid: int
    home: str
    shell: str

    @classmethod
    def named(cls, name: str) -> "Login":
        """Return the account of this name."""
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):
            raise BadValue(f"no user {name[:60]!r} on this machine") from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_dir, entry.pw_shell or "/bin/sh")

    @classmethod
    def usual(cls) -> list["Login"]:
        """Return the logins that `authorize` prints lines for: root and 'borgctl'; for an ordinary user, their own."""
        if os.geteuid() != 0:
            return [cls.named(pwd.getpwuid(os.geteuid()).pw_name)]
        names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_name == "borgctl"]
        return [cls.named(name) for name in ("root", *names)]

    @property
    def owners(self) -> frozenset[int]:
        """Return the users whose files this login may trust: root and itself."""
        return frozenset((0, self.uid))


def trouble(path: str, owners: frozenset[int]) -> str | None:
    """Return how another user could change what is at this path; None where nobody could. Raise OSError as open(2)."""
    try:
        with SecurePath.at(path, owners) as pinned:
            if others_may_replace(pinned.status):
                return f"{path!r} has mode {stat.S_IMODE(pinned.status.st_mode):04o}: others may write to it"
    except InsecurePath as error:
        return str(error)
    except FileNotFoundError:
        return _could_be_made(os.path.dirname(path), owners)
    return None


def _could_be_made(above: str, owners: frozenset[int]) -> str | None:
    """Return how another user could make what is missing in this directory; in a sticky one anybody can."""
    try:
        directory(above, owners).close()
    except InsecurePath as error:
        return str(error)
    except FileNotFoundError:
        return _could_be_made(os.path.dirname(above), owners)
    return None
