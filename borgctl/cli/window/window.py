"""`borgctl window`: one borg command of the admin's, or a shell in which `borg` is such a command each time.

admit(None, ["borg", "extract", "::web1-default-2026-11-23", "etc/fstab"])          shell("/etc/borgctl/web1.yaml")
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import typer

from borgctl.cli.common import policy_argument
from borgctl.cli.policy import lint
from borgctl.cli.window import window_session
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import load
from borgctl.policy.model import Policy
from borgctl.state import window_protocol
from borgctl.state.window_protocol import WindowRequest

_CLOSED = (2, 80, 81)  # borg's statuses where the connection was closed on it; borg 1.2 has one for all errors
_WIDER = (
    "borgctl: if the connection was closed: the server says why. A command that writes, deletes or changes the key "
    "needs a window for that: borgpull window TARGET --allow write, delete or passphrase"
)


def admit(policy: str | None, words: Sequence[str], *, ask: bool, wait: float) -> int:
    """Run `borg …` through an open window; return borg's exit status. `ask`: borg asks for the passphrase itself."""
    if words[0] != "borg":
        raise BadValue(f"bad command {words[0]!r}: expected 'borg …', or nothing for a shell")
    chosen = find(policy)
    secret = None if ask else window_session.secret_of(chosen)
    with window_session.enter(
        chosen, WindowRequest(window_protocol.words(words), window_protocol.login_uid()), wait
    ) as entered:
        status = entered.borg(words[1:], secret)
    if status in _CLOSED:
        typer.echo(_WIDER, err=True)
    return 128 - status if status < 0 else status


def shell(policy: str | None) -> int:
    """Run the admin's shell with a `borg` that goes through a window each time; return the shell's exit status."""
    chosen = find(policy)
    with tempfile.TemporaryDirectory(prefix="borgctl-") as directory:
        ours = [
            sys.executable,
            "-I",
            "-c",
            "from borgctl.cli.app import main; main()",
            "window",
            "--policy",
            chosen.file,
        ]
        with open(f"{directory}/borg", "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {shlex.join([*ours, "--", "borg"])} "$@"\n')
            os.fchmod(file.fileno(), 0o700)
        env = {**os.environ, "PATH": f"{directory}:{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"}
        program = os.environ.get("SHELL") or "/bin/sh"
        typer.echo("borgctl: in this shell 'borg' uses the window; leave it with 'exit'", err=True)
        try:
            return subprocess.run([program], env=env, check=False).returncode
        except OSError as error:
            raise BadValue(f"shell {program!r}: {error.strerror}") from None


def find(policy: str | None) -> Policy:
    """Read the policy that is named, else the only one here that has windows."""
    if policy is not None:
        return _with_window(policy_argument.read(policy))
    found = []
    for file in lint.usual_policies():
        try:
            found.append(_with_window(load.read(file)))
        except BorgctlError:
            continue
    if len(found) != 1:
        what = "several policies have" if found else "no policy has"
        raise BadValue(f"{what} 'window:' in {os.path.dirname(file)}: name one with --policy")
    return found[0]


def _with_window(policy: Policy) -> Policy:
    if not policy.window:
        raise BorgctlError("window-closed", f"{policy.file} says 'window: no'")
    return policy
