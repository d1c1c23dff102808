"""Dry run: show what `run` would start (`run --dry-run`). It starts nothing.

lines(folders, target, (JobName("default"),), as_json=False)      "web1 default: ssh: /usr/bin/ssh -T …", …
"""

import json
import shlex
from collections.abc import Iterator

from borgctl.pull.client import client_command
from borgctl.pull.report.hints import advice_for
from borgctl.pull.repository import guard_process, serve, transactions
from borgctl.pull.run.call_session import session_of
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName


def lines(folders: Folders, target: Target, jobs: tuple[JobName, ...], as_json: bool) -> Iterator[str]:
    """Yield the argv of each call, of the guard and of serve; RUN and NONCE are chosen anew for every run."""
    if reason := obstacle(target):
        raise PullError(f"target {str(target.name)!r} cannot run: {reason}", advice_for(reason, str(target.name)))
    workdir = f"{folders.state}/run/RUN"
    chosen = jobs or target.jobs
    state, used = load_state(folders, target.name), transactions.used(str(target.repository))
    seen = state.head
    calls = (
        [(None, client_command.hello(target, workdir, seen))]
        if chosen is None
        else [(job, client_command.run(target, job, workdir, seen, "NONCE")) for job in chosen]
    )
    served = serve.argv(target)
    for job, call in calls:
        guarded = guard_process.argv(target, session_of(target, job, state), used) if job else None
        if as_json:
            entry = {
                "target": str(target.name),
                "job": job and str(job),
                call.name: call.argv,
                "guard": guarded,
                "serve": served if job else None,
            }
            yield json.dumps(entry)
            continue
        yield f"{target.name} {job or 'hello'}: {call.name}: {shlex.join(call.argv)}"
        if guarded is not None:
            yield f"{target.name} {job}: guard: {shlex.join(guarded)}"
            yield f"{target.name} {job}: serve: {shlex.join(served)}"
    if chosen is None and not as_json:
        yield f"{target.name}: then each job with command create that the client offers, and for each"
        yield f"{target.name} JOB: serve: {shlex.join(served)}"
