"""`borgctl passphrase`: change the passphrase, in borg and in the file that the policy names.

At every moment one of two files has the valid passphrase, FILE or FILE.new. The new one is on disk before borg gets it,
and replaces FILE after a second borg has opened the repository with it. The next call finishes an interrupted change.
Both borgs work through restore windows.

    for line in change(policy, path, None, wait=15): print(line)
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


def change(policy: Policy, path: RepositoryPath, new: bytes | None, wait: float) -> Iterator[str]:
    """Change the passphrase to `new` (None: to a random one); yield a line about each step."""
    file = _own_file(policy)
    base = StateDir.open(policy.base)
    try:
        with _lock(base):
            secret = _interrupted(file)
            if secret is not None:
                yield f"an earlier change was interrupted: trying the passphrase in {file}.new"
                if _opens(policy, path, secret, wait):
                    yield f"{_finish(file)}; {_page(policy, path)}"
                    return
            old = window_session.secret_of(policy)
            assert old is not None
            secret = secret or _put(file, new or base64.b64encode(os.urandom(33)))
            yield f"the new passphrase is in {file}.new"
            _change(policy, path, old, secret, wait)
            yield "borg has changed the key"
            if not _opens(policy, path, secret, wait):
                raise BadValue(
                    f"the new passphrase does not open the repository: keep {file} and {file}.new, and call again"
                )
            yield f"{_finish(file)}; {_page(policy, path)}"
    finally:
        os.close(base.fd)


def adopt(policy: Policy, path: RepositoryPath, wait: float) -> str:
    """Pin the repository's present key, which the admin has changed by other means, if the passphrase opens it."""
    secret = window_session.secret_of(policy)
    if secret is None or not _opens(policy, path, secret, wait):
        raise BadValue("the policy's passphrase does not open the repository: nothing is changed")
    return f"the gate knows the key in the repository from now on; {_page(policy, path)}"


def _own_file(policy: Policy) -> str:
    """Return the passphrase's file; raise BorgctlError where other repositories use it, too."""
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
        raise BorgctlError("passphrase-unusable", f"{others[0].file} uses the passphrase file {file!r}, too", hint)
    return real


def _leads_to(file: str | None, real: str) -> bool:
    return file is not None and os.path.realpath(file) == real


def _policies() -> Iterator[Policy]:
    with contextlib.suppress(BadValue):
        for file in lint.usual_policies():
            with contextlib.suppress(BorgctlError):
                yield read(file)


@contextlib.contextmanager
def _lock(base: StateDir) -> Iterator[None]:
    """Refuse a second call at the same time."""
    try:
        fcntl.flock(base.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadValue("another 'borgctl passphrase' is running") from None
    yield


def _interrupted(file: str) -> bytes | None:
    """Return the passphrase that an interrupted change has left in FILE.new, None where there is none."""
    return passphrase.obtain(Passphrase(file=f"{file}.new"), {}) if os.path.lexists(f"{file}.new") else None


def _put(file: str, secret: bytes) -> bytes:
    """Write FILE.new; it is complete and on disk when this returns."""
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


def _finish(file: str) -> str:
    """Rename FILE.new to FILE."""
    with secure_path.directory(os.path.dirname(file)) as above:
        directory = above.open(os.O_RDONLY | os.O_DIRECTORY)
        try:
            name = os.path.basename(file)
            atomic.move(f"{name}.new", name, at=directory)
        finally:
            os.close(directory)
    return f"{file} holds the new passphrase"


def _change(policy: Policy, path: RepositoryPath, old: bytes, new: bytes, wait: float) -> None:
    """Let borg change it. borg has no terminal, and reads the old one, and the new one twice, from its input."""
    given = b"".join(secret + b"\n" for secret in (old, new, new))
    what = WindowRequest(("borg", *_CHANGE), window_protocol.login_uid(), path.text)
    with window_session.enter(policy, what, wait) as session, window_session.memory() as output:
        status = session.step(_CHANGE, None, given=given, stdout=subprocess.DEVNULL, stderr=output)
        if status != 0:
            needed = "it needs 'borgpull window TARGET --allow passphrase' on the server"
            raise BadValue(f"borg ended with status {status}: {_last(output)}; {needed}; call again")


def _opens(policy: Policy, path: RepositoryPath, secret: bytes, wait: float) -> bool:
    """Tell whether this passphrase opens the repository; if so, the gate pins its key."""
    what = WindowRequest(("borg", *_LOOK), window_protocol.login_uid(), path.text, renew=True)
    with window_session.enter(policy, what, wait) as session, window_session.memory() as output:
        status = session.step(_LOOK, secret, stdout=subprocess.DEVNULL, stderr=output)
        if status not in (0, 2, 52):  # borg 1.2 has one status for all errors
            raise BadValue(f"borg ended with status {status}: {_last(output)}; call again")
        if status == 2 and "passphrase" not in _last(output):
            raise BadValue(f"borg failed: {_last(output)}; call again")
        if status == 0 and pins.pin(session.base, "key", path) and not session.key_pinned:
            raise BadValue("the gate did not pin the new key: see the audit log, and call again")
    return status == 0


def _last(output: IO[bytes]) -> str:
    """Return the last line that borg printed."""
    output.seek(0)
    lines = output.read().decode("utf-8", "replace").strip().split("\n")
    return printable(lines[-1])[:300]
