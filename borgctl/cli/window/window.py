"""`borgctl window`: run one borg command of the admin through a restore window, or a shell with such a `borg`.

run_borg(None, ["borg", "list"], ask=False, wait=15)          run_shell("/etc/borgctl/web1.yaml")
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import typer

from borgctl.borg.exit_code import as_shell
from borgctl.cli.common import policy_argument
from borgctl.cli.policy import lint
from borgctl.cli.window import window_session
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import load
from borgctl.policy.model import Policy
from borgctl.state import window_protocol
from borgctl.state.window_protocol import WindowRequest

_CLOSED = (2, 80, 81)  # borg's exit statuses after a closed connection; borg 1.2 has one for all errors
_WIDER = (
    "borgctl: if the connection was closed: the server shows why. A command that writes, deletes or changes the key "
    "needs a window for that: borgpull window TARGET --allow write, delete or passphrase"
)


def run_borg(policy: str | None, words: Sequence[str], *, ask: bool, wait: float) -> int:
    """Run `borg …` through an open window; return borg's exit status. `ask`: borg asks for the passphrase."""
    if words[0] != "borg":
        raise BadValue(f"bad command {words[0]!r}: expected 'borg …', or nothing for a shell")
    chosen = find(policy)
    secret = None if ask else window_session.secret_of(chosen)
    with window_session.enter(
        chosen, WindowRequest(window_protocol.words(words), window_protocol.login_uid()), wait
    ) as session:
        status = session.borg(words[1:], secret)
    if status in _CLOSED:
        typer.echo(_WIDER, err=True)
    return as_shell(status)


def run_shell(policy: str | None) -> int:
    """Run the admin's shell with a `borg` that uses a window each time; return the shell's exit status."""
    chosen = find(policy)
    with tempfile.TemporaryDirectory(prefix="borgctl-") as directory:
        borgctl = [
            sys.executable,
            "-I",
            "-c",
            "from borgctl.cli.app import main; main()",
            "window",
            "--policy",
            chosen.file,
        ]
        with open(f"{directory}/borg", "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {shlex.join([*borgctl, "--", "borg"])} "$@"\n')
            os.fchmod(file.fileno(), 0o700)
        env = {**os.environ, "PATH": f"{directory}:{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"}
        program = os.environ.get("SHELL") or "/bin/sh"
        typer.echo("borgctl: in this shell 'borg' uses the window; leave it with 'exit'", err=True)
        try:
            return subprocess.run([program], env=env, check=False).returncode
        except OSError as error:
            raise BadValue(f"shell {program!r}: {error.strerror}") from None


def find(policy: str | None) -> Policy:
    """Read this policy, or without a name the only one in the usual directory that has windows."""
    if policy is not None:
        return _with_window(policy_argument.read(policy))
    policies = []
    for file in lint.usual_policies():
        try:
            policies.append(_with_window(load.read(file)))
        except BorgctlError:
            continue
    if len(policies) != 1:
        what = "several policies have" if policies else "no policy has"
        raise BadValue(f"{what} 'window:' in {os.path.dirname(file)}: name one with --policy")
    return policies[0]


def _with_window(policy: Policy) -> Policy:
    if not policy.window:
        raise BorgctlError("window-closed", f"{policy.file} says 'window: no'")
    return policy
