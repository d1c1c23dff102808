"""A login: an account of this machine, as passwd(5) has it, and whether a file is in its hands alone."""

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
            found = pwd.getpwnam(name)
        except (KeyError, ValueError):
            raise BadValue(f"no user {name[:60]!r} on this machine") from None
        return cls(found.pw_name, found.pw_uid, found.pw_dir, found.pw_shell or "/bin/sh")

    @classmethod
    def usual(cls) -> list["Login"]:
        """Return the logins that `authorize` writes lines for: root and 'borgctl'; for anybody else, oneself."""
        if os.geteuid() != 0:
            return [cls.named(pwd.getpwuid(os.geteuid()).pw_name)]
        names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_name == "borgctl"]
        return [cls.named(name) for name in ("root", *names)]

    @property
    def owners(self) -> frozenset[int]:
        """Return whose files this login may trust: root's and its own."""
        return frozenset((0, self.uid))


def trouble(path: str, owners: frozenset[int]) -> str | None:
    """Return why somebody else could choose what is at this path, None where nobody could; OSError as open(2) does."""
    try:
        with SecurePath.at(path, owners) as pinned:
            if others_may_replace(pinned.status):
                return f"{path!r} has mode {stat.S_IMODE(pinned.status.st_mode):04o}: others may write it"
    except InsecurePath as error:
        return str(error)
    except FileNotFoundError:
        return _could_be_made(os.path.dirname(path), owners)
    return None


def _could_be_made(above: str, owners: frozenset[int]) -> str | None:
    """Return why somebody else could make what is missing in this directory: a sticky one is everybody's, too."""
    try:
        directory(above, owners).close()
    except InsecurePath as error:
        return str(error)
    except FileNotFoundError:
        return _could_be_made(os.path.dirname(above), owners)
    return None
