"""The passphrase: read where the policy says, handed to borg through a pipe, in no argv and no environment."""

import contextlib
import os
import stat

from borgctl.errors import BorgctlError
from borgctl.fs import trusted_code
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy.model import Passphrase
from borgctl.process.capture import capture

_LONGEST = 4096  # bytes: less than a pipe holds, so that writing never waits
_SECONDS = 60.0


def obtain(passphrase: Passphrase, env: dict[str, str]) -> bytes | None:
    """Return the passphrase without its final newline, None where the policy has none."""
    if passphrase.file is None and not passphrase.program:
        return None
    try:
        secret = _from_file(passphrase.file) if passphrase.file else _from_program(passphrase.program, env)
    except InsecurePath as error:
        raise BorgctlError("passphrase-unusable", str(error)) from None
    except OSError as error:
        source = passphrase.file or passphrase.program[0]
        raise BorgctlError("passphrase-unusable", f"{source!r}: {error.strerror}") from None
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not secret or b"\n" in secret or b"\0" in secret:
        raise BorgctlError("passphrase-unusable", "expected one line that is not empty")
    return secret


def require(passphrase: Passphrase) -> None:
    """Raise BorgctlError where the file or the program cannot be used; read nothing, and start nothing."""
    try:
        if passphrase.file:
            with SecurePath.at(passphrase.file) as pinned:
                pinned.require(stat.S_IFREG, 0o077)
        elif passphrase.program:
            trusted_code.require_words(passphrase.program)
    except InsecurePath as error:
        raise BorgctlError("passphrase-unusable", str(error)) from None
    except OSError as error:
        source = passphrase.file or passphrase.program[0]
        raise BorgctlError("passphrase-unusable", f"{source!r}: {error.strerror}") from None


def known(passphrase: Passphrase, obtained: bytes | None) -> str | None:
    """Return what must be in no record, as text: the passphrase that was obtained, or else what the file holds now."""
    if obtained is None and passphrase.file:
        with contextlib.suppress(BorgctlError):
            obtained = obtain(passphrase, {})
    return obtained.decode("utf-8", "surrogateescape") if obtained else None


def _from_file(path: str) -> bytes:
    with SecurePath.at(path) as pinned:
        return pinned.require(stat.S_IFREG, 0o077).read(_LONGEST)


def _from_program(argv: tuple[str, ...], env: dict[str, str]) -> bytes:
    trusted_code.require_words(argv)
    status, output = capture(argv, env, most=_LONGEST, seconds=_SECONDS)
    if status != 0:
        raise InsecurePath(f"{argv[0]!r} ended with status {status}")
    return output


def pipe(secret: bytes) -> int:
    """Return the read end of a pipe that holds the passphrase and nothing more; it serves one reader once."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.write(write_end, secret)
    os.close(write_end)
    return read_end
