"""The files that a policy names: whether they are there, whose they are, never what is in them.

list(missing(policy)) == [("passphrase", "passphrase file '/etc/borgctl/passphrase' is missing: …")]
"""

import os
import stat
from collections.abc import Iterator

from borgctl import custody
from borgctl.base import Base
from borgctl.custody import Pinned, Unsafe
from borgctl.policy import Policy

_SHORT = 16  # bytes of a passphrase file; with repokey the server may guess as long as it likes


def missing(policy: Policy) -> Iterator[tuple[str, str]]:
    """Return, for keys of the policy, what is not as the gate wants it."""
    if problem := program(policy.borg):
        yield "borg", f"borg {problem}: install it, or name its path with 'borg:'"
    if policy.passphrase.program and (problem := program(policy.passphrase.program[0])):
        yield "passphrase", f"passphrase program {problem}"
    if policy.passphrase.file and (problem := _secret(policy.passphrase.file)):
        yield "passphrase", f"passphrase file {problem}"
    for key, path in (("base", policy.base), ("audit", os.path.dirname(policy.audit.file))):
        if problem := _directory(path):
            yield key, f"every run is refused: {problem}"
    if "socket" in policy.transports and (problem := _sockets(policy.socket_directory)):
        yield "socket", f"every request with a socket is refused: {problem}"


def program(path: str) -> str | None:
    """Return what keeps a program from being run, None where nothing does."""
    try:
        with Pinned.at(path) as pinned:
            mode = pinned.require(stat.S_IFREG).status.st_mode
    except (OSError, Unsafe) as error:
        return _said(path, error)
    return None if mode & 0o111 else f"{path!r} is not executable: chmod 0755"


def _secret(path: str) -> str | None:
    try:
        with Pinned.at(path) as pinned:
            size = pinned.require(stat.S_IFREG, 0o077).status.st_size
    except FileNotFoundError:
        return f"{path!r} is missing: (umask 077; head -c 33 /dev/urandom | base64 > {path})"
    except (OSError, Unsafe) as error:
        return f"{_said(path, error)}: it must be root's or the gate's user's, mode 0600"
    if size < _SHORT:
        return f"{path!r} has {size} bytes: the server holds the key and may guess, take 20 or more"
    return None


def _directory(path: str) -> str | None:
    """Look at a directory, or where it is missing (the gate makes it) at the first one above that is there."""
    try:
        custody.directory(path).close()
    except FileNotFoundError:
        return _directory(os.path.dirname(path))
    except (OSError, Unsafe) as error:
        return _said(path, error)
    return None


def _sockets(path: str) -> str | None:
    """Look at the directory for sockets, which the gate doesn't make; it may be the login user's own."""
    try:
        custody.directory(path, {*custody.ourselves(), os.lstat(path).st_uid}, follow=False).close()
    except FileNotFoundError:
        return f"{path!r} is missing: 'borgctl authorize --transport socket' prints what makes it at each start"
    except (OSError, Unsafe) as error:
        return _said(path, error)
    return None


def _said(path: str, error: Exception) -> str:
    return f"{path!r}: {error.strerror}" if isinstance(error, OSError) else str(error)


def closed_above(path: str) -> bool:
    """Tell whether a path is there in a directory that we may go through and not read (a shared host's /home)."""
    return os.path.lexists(path) and not os.access(os.path.dirname(path), os.R_OK)


def opens_above(policy: Policy) -> bool:
    """Tell whether borg opens the directory above a path to be saved, as 1.2 does; it may, until it has been asked."""
    base = Base.known(policy.base)
    if base is None:
        return True
    try:
        version = base.known_version(policy.borg)
    finally:
        os.close(base.fd)
    return version is None or version.series == (1, 2)


def absent(path: str) -> bool:
    """Tell whether nothing is there, as far as we may look."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
