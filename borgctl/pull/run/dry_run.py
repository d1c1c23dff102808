"""Dry run: show what `run` would start (`run --dry-run`), and list the targets (`targets`). It starts nothing.

lines(folders, target, (JobName("default"),), as_json=False)      "web1 default: ssh: /usr/bin/ssh -T …", …
"""

import json
import shlex
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from borgctl.errors import BadValue
from borgctl.pull.client import client_command
from borgctl.pull.report.hints import advice_for
from borgctl.pull.repository import guard_process, serve, transactions
from borgctl.pull.run.call_session import session_of
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets import repositories, telling_warnings
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.pause import Pause
from borgctl.pull.targets.targets import Target, load, names
from borgctl.text import iso, printable_excerpt
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


def overview(folders: Folders, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield targets as objects; `errors` lists what is wrong in a file, `ready` says whether the target can run."""
    loaded = {text: _load(folders, text) for text in dict.fromkeys((*names(folders), *texts))}
    sharing = repositories.overlaps(
        {text: repositories.place(target) for text, target in loaded.items() if isinstance(target, Target)}
    )
    for text in texts:
        target = loaded[text]
        if not isinstance(target, Target):
            yield {"target": text, "ready": False, "errors": str(target).split("\n")}
            continue
        reason = obstacle(target)
        yield {
            "target": text,
            "ready": reason is None,
            "errors": [],
            "missing": reason,
            "host": target.host,
            "port": target.port,
            "transport": target.transport,
            "repository": str(target.repository),
            "quota": target.quota,
            "jobs": target.jobs and [str(job) for job in target.jobs],
            "tags": [str(tag) for tag in target.tags],
            "paused": (pause := target.paused(time.time())) and {"until": iso(pause.until), "reason": pause.reason},
            "warnings": [*([sharing[text]] if text in sharing else []), *telling_warnings.warnings(folders, target)],
        }


def _load(folders: Folders, text: str) -> Target | PullError | BadValue:
    try:
        return load(folders, TargetName(text))
    except (PullError, BadValue) as error:
        return error


def sentence(entry: dict[str, Any]) -> str:
    """Write one target of `overview` for people."""
    if entry["errors"]:
        return "\n".join(
            f"{printable_excerpt(entry['target'])}: error: {printable_excerpt(error)}" for error in entry["errors"]
        )
    jobs = ", ".join(entry["jobs"]) if entry["jobs"] else "all that the client offers"
    where = f"{entry['host'] or 'this host'}, {entry['transport']}, {entry['repository']}, quota {entry['quota']}"
    lines = [f"{entry['target']}: {where}, jobs: {jobs}"]
    if entry["tags"]:
        lines[0] += f", tags: {', '.join(entry['tags'])}"
    if entry["paused"]:
        until = datetime.fromisoformat(entry["paused"]["until"]).timestamp()
        lines.append(f"{entry['target']}: {Pause(until, entry['paused']['reason'])}")
    lines += [f"{entry['target']}: warning: {warning}" for warning in entry["warnings"]]
    if not entry["ready"]:
        lines.append(f"{entry['target']}: not ready: {entry['missing']}")
        lines.append(f"hint: {typed(advice_for(entry['missing'], entry['target']))}")
    return "\n".join(lines)
