"""`borgctl passphrase`: another passphrase for the key, in borg and in the file that the policy names.

At every moment one of two files holds the passphrase that is good, FILE or FILE.new: the new one is on disk before borg
is asked to use it, and takes FILE's place when a second borg has opened the repository with it. A change that was
interrupted is finished by the next call. Both borgs work through windows.

    for line in changed(policy, path, None, wait=15): print(line)
"""

import base64
import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from typing import IO

from borgctl.cli.common.policy_argument import recovery_command
from borgctl.cli.policy import lint
from borgctl.cli.window import window_session
from borgctl.errors import BadValue, BorgctlError
from borgctl.fs import atomic, secure_path
from borgctl.policy.load import read
from borgctl.policy.model import Passphrase, Policy
from borgctl.state import passphrase, pins, window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest
from borgctl.text import printable
from borgctl.values import RepositoryPath

_CHANGE = ("key", "change-passphrase")
_LOOK = ("list", "--short", "--last", "1")


def changed(policy: Policy, path: RepositoryPath, new: bytes | None, wait: float) -> Iterator[str]:
    """Change the passphrase to `new` (None: to a random one), saying step by step what is done."""
    file = _own_file(policy)
    base = StateDir.open(policy.base)
    try:
        with _alone(base):
            secret = _waiting(file)
            if secret is not None:
                yield f"an earlier change was interrupted: trying the passphrase in {file}.new"
                if _opens(policy, path, secret, wait):
                    yield f"{_settled(file)}; {_page(policy, path)}"
                    return
            old = window_session.secret_of(policy)
            assert old is not None
            secret = secret or _put(file, new or base64.b64encode(os.urandom(33)))
            yield f"the new passphrase is in {file}.new"
            _change(policy, path, old, secret, wait)
            yield "borg has changed the key"
            if not _opens(policy, path, secret, wait):
                raise BadValue(f"the new passphrase does not open it: keep {file} and {file}.new, and call again")
            yield f"{_settled(file)}; {_page(policy, path)}"
    finally:
        os.close(base.fd)


def adopted(policy: Policy, path: RepositoryPath, wait: float) -> str:
    """Know the repository's key from now on, which the admin has changed by other means, if the passphrase opens it."""
    secret = window_session.secret_of(policy)
    if secret is None or not _opens(policy, path, secret, wait):
        raise BadValue("the policy's passphrase does not open the repository: nothing is changed")
    return f"the key in the repository is the one that is known from now on; {_page(policy, path)}"


def _own_file(policy: Policy) -> str:
    """Return the passphrase's file, which has to be this repository's alone."""
    file = policy.passphrase.file
    if file is None:
        hint = "borgctl window --ask -- borg key change-passphrase; change it there; borgctl passphrase --adopt"
        raise BorgctlError("passphrase-unusable", "the policy's passphrase does not come from a file", hint)
    if len(policy.repositories) > 1:
        hint = "give each repository a policy and a passphrase file of its own"
        raise BorgctlError("passphrase-unusable", f"{policy.file} has several repositories with one passphrase", hint)
    real = os.path.realpath(file)
    others = [other for other in _policies() if other.file != policy.file and _leads_to(other.passphrase.file, real)]
    if others:
        hint = "copy that file, and name the copy in this policy"
        raise BorgctlError("passphrase-unusable", f"{file!r} is the passphrase of {others[0].file} too", hint)
    return real


def _leads_to(file: str | None, real: str) -> bool:
    return file is not None and os.path.realpath(file) == real


def _policies() -> Iterator[Policy]:
    with contextlib.suppress(BadValue):
        for file in lint.usual_policies():
            with contextlib.suppress(BorgctlError):
                yield read(file)


@contextlib.contextmanager
def _alone(base: StateDir) -> Iterator[None]:
    """Keep a second call out."""
    try:
        fcntl.flock(base.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadValue("another 'borgctl passphrase' is at work") from None
    yield


def _waiting(file: str) -> bytes | None:
    """Return the passphrase that an interrupted change has left in FILE.new."""
    return passphrase.obtain(Passphrase(file=f"{file}.new"), {}) if os.path.lexists(f"{file}.new") else None


def _put(file: str, secret: bytes) -> bytes:
    """Write FILE.new, on disk and whole when this returns."""
    name = os.path.basename(file)
    with secure_path.directory(os.path.dirname(file)) as above:
        directory = above.open(os.O_RDONLY | os.O_DIRECTORY)
        try:
            atomic.replace(f"{name}.new", secret + b"\n", at=directory)
        finally:
            os.close(directory)
    return secret


def _page(policy: Policy, path: RepositoryPath) -> str:
    return f"print a new recovery page: {recovery_command(policy, path)}"


def _settled(file: str) -> str:
    """Put FILE.new into FILE's place."""
    with secure_path.directory(os.path.dirname(file)) as above:
        directory = above.open(os.O_RDONLY | os.O_DIRECTORY)
        try:
            name = os.path.basename(file)
            atomic.move(f"{name}.new", name, at=directory)
        finally:
            os.close(directory)
    return f"{file} holds the new passphrase"


def _change(policy: Policy, path: RepositoryPath, old: bytes, new: bytes, wait: float) -> None:
    """Let borg change it: it asks for the old one and twice for the new one, and has no terminal to ask on."""
    given = b"".join(secret + b"\n" for secret in (old, new, new))
    what = WindowRequest(("borg", *_CHANGE), window_protocol.login_uid(), path.text)
    with window_session.enter(policy, what, wait) as entered, window_session.memory() as said:
        status = entered.borg(_CHANGE, None, given=given, stdout=subprocess.DEVNULL, stderr=said)
        if status != 0:
            needed = "it needs 'borgpull window TARGET --allow passphrase' on the server"
            raise BadValue(f"borg ended with status {status}: {_last(said)}; {needed}; call again")


def _opens(policy: Policy, path: RepositoryPath, secret: bytes, wait: float) -> bool:
    """Tell whether this passphrase opens the repository; if so, the gate knows its key from now on."""
    what = WindowRequest(("borg", *_LOOK), window_protocol.login_uid(), path.text, renew=True)
    with window_session.enter(policy, what, wait) as entered, window_session.memory() as said:
        status = entered.borg(_LOOK, secret, given=b"", stdout=subprocess.DEVNULL, stderr=said)
        if status not in (0, 2, 52):  # borg 1.2 has one status for all errors
            raise BadValue(f"borg ended with status {status}: {_last(said)}; call again")
        if status == 2 and "passphrase" not in _last(said):
            raise BadValue(f"borg failed: {_last(said)}; call again")
        if status == 0 and pins.pin(entered.base, "key", path) and not entered.kept:
            raise BadValue("the gate did not note the new key: see the audit log, and call again")
    return status == 0


def _last(said: IO[bytes]) -> str:
    """Return the last words of borg."""
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().split("\n")
    return printable(lines[-1])[:300]
