"""Spelled out: ask for one borg subcommand that a person names, where the client's policy offers it (`commands`).

What the client may say to the repository follows from the subcommand, as it does from a job's line in the target file.
It is no nightly backup: it does not change the target's status.

    ask(launcher, target, read(["list", "::web1-monday"]), deletes=None)     the report of `borg list ::web1-monday`
"""

import shlex
import time
from collections.abc import Sequence

from borgctl.errors import BorgctlError
from borgctl.pull.client import client_command
from borgctl.pull.process.workdirs import workdir
from borgctl.pull.report.hints import advice_for
from borgctl.pull.report.report import RunReport
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.run.call_session import is_known
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run_call import run_call, underway
from borgctl.pull.run.scheduler import result
from borgctl.pull.state.running import Begun
from borgctl.pull.state.state import State
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.paths import lock
from borgctl.pull.targets.targets import Target
from borgctl.wire.request import Borg, RunOptions
from borgctl.wire.request_parser import parse

_KINDS = {"create": "create", "prune": "prune", "init": "init", "list": "read", "info": "read", "check": "read"}


def read(words: Sequence[str]) -> Borg:
    """Read borg's words as the gate will; raise PullError where no request can have them."""
    try:
        request = parse(shlex.join(["borg", *words]).encode("utf-8", "surrogateescape"))
    except BorgctlError as error:
        raise PullError(error.detail, error.reason.advice) from None
    if request.options != RunOptions() or not isinstance(request.order, Borg):
        raise PullError("options before the subcommand are the launcher's own", "write the subcommand first, like list")
    return request.order


def ask(launcher: Launcher, target: Target, order: Borg, deletes: int | None) -> RunReport:
    """Ask the client for it, and report; `deletes`: how many objects a prune may delete. May raise Busy."""
    name = str(target.name)
    if reason := obstacle(target):
        raise PullError(f"target {name!r} cannot run: {reason}", advice_for(reason, name))
    if (order.command == "prune") != (deletes is not None):
        hint = f"borgpull borg {name} --deletes 5000 -- prune …"
        raise PullError("--deletes says how many objects a prune may delete, and is for a prune alone", hint)
    with lock(launcher.folders, target.name), workdir(launcher.folders) as path:
        client_command.prepare(target, path)
        state = load_state(launcher.folders, target.name)
        session = _session(target, state, order.command, deletes)
        call = client_command.spelled_out(target, order, path, state.head)
        words = (call, path, float(target.timeout), f"borg {order.command}", state.head, session)
        with underway(launcher, target, Begun("borg", None, time.time())) as notes:
            return result(launcher, run_call(launcher, target, *words, kind="borg", notes=notes))


def _session(target: Target, state: State, command: str, deletes: int | None) -> GuardSession:
    """Return the kind of session for a subcommand; only `init` makes a repository, and only where none is known."""
    if command == "init" and is_known(target, state):
        raise PullError(
            f"target {str(target.name)!r} has a repository",
            f"to begin anew: borgpull forget {target.name} --repository",
        )
    return GuardSession(_KINDS[command], 0 if deletes is None else deletes)
