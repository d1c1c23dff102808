"""The files that a policy names: whether they exist and who owns them, never what is in them.

`fatal` is what makes the gate refuse every run; the rest is unwise.

    list(flaws(policy)) == [Flaw("passphrase", "passphrase file '/etc/borgctl/passphrase' is missing: …", fatal=True)]
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from borgctl.audit import log
from borgctl.errors import BorgctlError
from borgctl.fs import locked_file, secure_path, trusted_code
from borgctl.fs.secure_path import InsecurePath
from borgctl.policy import sent_environment
from borgctl.policy.model import Policy
from borgctl.state import borg_version, former_hostnames, passphrase, state_dir
from borgctl.state.state_dir import StateDir

_MAKE = "(umask 077; head -c 33 /dev/urandom | base64 > {})"
_SHORT = 16  # bytes of a passphrase file; with repokey the server can guess for as long as it likes


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is not as the gate needs it, and the key of the policy that names it."""

    key: str
    text: str
    fatal: bool


def flaws(policy: Policy) -> Iterator[Flaw]:
    """Yield what is not as the gate needs it."""
    try:
        borg_version.require(policy.borg)
    except BorgctlError as error:
        yield Flaw(
            "borg", f"borg cannot be used: {error.detail}: install it, or name its path with 'borg:'", fatal=True
        )
    else:
        if problem := program(policy.borg):
            yield Flaw("borg", f"borg cannot be used: {problem}", fatal=True)
    yield from _secret(policy)
    for key, require in (("base", require_base), ("audit", require_log)):
        try:
            require(policy)
        except BorgctlError as error:
            yield Flaw(key, f"every request is refused: {error.detail}; {error.hint}", fatal=True)
    if "socket" in policy.transports and (problem := _sockets(policy.socket_directory)):
        yield Flaw("socket", f"every request with a socket is refused: {problem}", fatal=False)


def program(path: str) -> str | None:
    """Return why a program cannot be run, None where it can."""
    try:
        trusted_code.require_runnable(path)
    except (OSError, InsecurePath) as error:
        return _message(path, error)
    return None


def words(argv: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths among a program's words that another user of this machine could change."""
    for path in trusted_code.paths(argv[1:]):
        try:
            trusted_code.require_path(path)
        except InsecurePath as error:
            yield str(error)


def _secret(policy: Policy) -> Iterator[Flaw]:
    secret = policy.passphrase
    try:
        passphrase.require(secret)
    except BorgctlError as error:
        what = "file" if secret.file else "program"
        text = f"every run is refused: passphrase {what} {error.detail}"
        if secret.file and not os.path.lexists(secret.file):
            text = f"every run is refused: passphrase file {secret.file!r} is missing: {_MAKE.format(secret.file)}"
        elif secret.file:
            text += ": it must be root's or the gate's user's, mode 0600"
        yield Flaw("passphrase", text, fatal=True)
        return
    if secret.file:
        with contextlib.suppress(OSError):
            size = os.stat(secret.file).st_size
            if size < _SHORT:
                what = f"passphrase file {secret.file!r} has {size} bytes"
                text = f"{what}: the server has the key and can guess: take 20 or more"
                yield Flaw("passphrase", text, fatal=False)
    elif secret.program and (problem := program(secret.program[0])):
        yield Flaw("passphrase", f"every run is refused: passphrase program {problem}", fatal=True)


def require_base(policy: Policy) -> None:
    """Raise BorgctlError where the gate could neither use nor make the directory of its state."""
    try:
        secure_path.require_directory(policy.base, missing=state_dir.DEEPEST)
        _require_writable(policy.base)
    except (OSError, InsecurePath) as error:
        raise BorgctlError("base-unusable", _message(policy.base, error)) from None


def require_log(policy: Policy) -> None:
    """Raise BorgctlError where the gate could neither write nor make its log."""
    path = policy.audit.file
    try:
        secure_path.require_directory(os.path.dirname(path), missing=log.DEEPEST)
        with contextlib.suppress(FileNotFoundError):
            locked_file.require_own(os.lstat(path), os.path.basename(path))
        _require_writable(path)
    except (OSError, InsecurePath) as error:
        raise BorgctlError("log-unusable", _message(path, error)) from None


def _require_writable(path: str) -> None:
    """Raise OSError where we may neither write to this path nor make it."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.access(path, os.W_OK, effective_ids=True):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)


def _sockets(path: str) -> str | None:
    """Check the directory for sockets, which the gate does not make; the login user may own it."""
    try:
        secure_path.directory(path, {*secure_path.ourselves(), os.lstat(path).st_uid}, follow=False).close()
    except FileNotFoundError:
        return f"{path!r} is missing: 'borgctl authorize --transport socket' prints the line that makes it at each boot"
    except (OSError, InsecurePath) as error:
        return _message(path, error)
    return None


def _message(path: str, error: Exception) -> str:
    return f"{path!r}: {error.strerror}" if isinstance(error, OSError) else str(error)


def closed_above(path: str) -> bool:
    """Tell whether a path exists in a directory that we may enter but not read (a shared host's /home)."""
    return os.path.lexists(path) and not os.access(os.path.dirname(path), os.R_OK)


def opens_above(policy: Policy) -> bool:
    """Tell whether this borg opens the directory above a path, as 1.2 does; an unknown version may."""
    base = StateDir.known(policy.base)
    if base is None:
        return True
    try:
        version = borg_version.known(base, policy.borg)
    finally:
        os.close(base.fd)
    return version is None or version.series == (1, 2)


def former_names(policy: Policy) -> tuple[str, ...]:
    """Return the former names of this host, as far as the base knows them and we may read it."""
    base = StateDir.known(policy.base)
    if base is None:
        return ()
    try:
        return former_hostnames.former_names(base, sent_environment.hostname())
    except BorgctlError:
        return ()
    finally:
        os.close(base.fd)


def absent(path: str) -> bool:
    """Tell whether a path does not exist, as far as we may look."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
