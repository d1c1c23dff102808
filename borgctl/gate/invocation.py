"""One invocation of the gate: what is known of it, and what its records and its last line say.

A record is on disk before anything is told to the peer. This module does not decide, and it starts nothing.

    accept(story, {"command": "list", …})          status = end(story, result)          status = refuse(story, error)
"""

import time
from typing import Any

from borgctl.audit.log import Log
from borgctl.audit.warned_files import WarnedFiles
from borgctl.data_class import dataclass, field
from borgctl.errors import BorgctlError
from borgctl.gate.output import Output
from borgctl.gate.run_result import RunResult, by_gate
from borgctl.policy import locations
from borgctl.values import Head
from borgctl.wire import frames
from borgctl.wire.request import Request


@dataclass(slots=True)
class Invocation:
    """One invocation, as far as it is told: what every record says, and where it goes."""

    run: str
    output: Output
    local: bool
    log: Log | None = None
    seen: Head | None = None  # what the server kept of this log
    accepted: float | None = None  # when (time.monotonic), once the accept record is on disk
    known: dict[str, Any] = field(default_factory=dict)

    def heard(self, asked: Request) -> None:
        """Take what the request says of the answer."""
        self.output.json, self.seen = asked.options.log == "json", asked.options.seen

    def warned_files(self) -> WarnedFiles:
        """Return the list of files that borg warns of in this run."""
        assert self.log is not None
        return self.log.warned_files(self.run)


def accept(invocation: Invocation, told: dict[str, Any]) -> None:
    """Record that we are about to act. No record, no run."""
    invocation.known |= told
    assert invocation.log is not None
    invocation.log.append({"type": "accept", "run": invocation.run, **invocation.known})
    invocation.accepted = time.monotonic()
    public = {key: told[key] for key in ("command", "job", "repository") if told.get(key)}
    if invocation.output.json:
        invocation.output.event(frames.START, **public)
    if told.get("renamed"):
        invocation.output.say(
            "the client was renamed, and archives of its former name are pruned no more: 'borgctl lint' there"
        )


def end(invocation: Invocation, ending: RunResult) -> int:
    """Record and tell how it ended."""
    assert invocation.log is not None and invocation.accepted is not None
    told = {"outcome": ending.outcome, "origin": ending.origin, "code": ending.code, "reason": ending.reason}
    more = _details(invocation, ending, time.monotonic() - invocation.accepted)
    head = invocation.log.append({"type": "exit", "run": invocation.run, **brief(invocation), **told, **more})
    counted = {"skipped_mounts": len(ending.skipped) or None, "warnings": dict(ending.warnings) or None}
    counted |= ending.pruned.counts if ending.pruned else {}
    said = {**told, **counted, "audit": invocation.log.for_server(head, invocation.seen)}
    invocation.output.event(frames.EXIT, **{key: value for key, value in said.items() if value is not None})
    return ending.code


def refuse(invocation: Invocation, error: BorgctlError) -> int:
    """Record a refusal (or a run that broke off) with all we know, and tell the peer its reason and the run's id."""
    ending = by_gate(error.reason.code)
    kind = {"type": "refuse"} if invocation.accepted is None else {"type": "exit", "outcome": ending.outcome}
    record = {**kind, "run": invocation.run, **invocation.known, "reason": error.reason.code, "detail": error.detail}
    log, audit = invocation.log or Log.fallback(locations.default_log()), None
    try:
        audit = log.for_server(log.append({**record, "code": ending.code}), invocation.seen)
    except BorgctlError as failure:
        invocation.output.say(f"this refusal could not be recorded: {failure.reason.code}")
    detail = f"{error.detail}; " if invocation.local else ""
    invocation.output.say(f"{ending.outcome}: {error.reason.code}: {detail}{error.hint} (run {invocation.run})")
    told = {"outcome": ending.outcome, "origin": "gate", "code": ending.code, "reason": error.reason.code}
    invocation.output.event(frames.EXIT, **told, **({"audit": audit} if audit else {}))
    return ending.code


def brief(invocation: Invocation) -> dict[str, Any]:
    """Return what an exit record repeats of its accept record."""
    return {
        name: invocation.known.get(name) for name in ("policy", "key", "peer", "command", "job", "repository", "said")
    }


def _details(invocation: Invocation, ending: RunResult, seconds: float) -> dict[str, Any]:
    """Return what only our own log tells of an ending."""
    sent, received = ending.counts or (None, None)
    always = {"signal": ending.signal, "duration": round(seconds, 3), "sent": sent, "received": received}
    listed = invocation.known.get("listed") if ending.warnings else None
    pruned = ending.pruned.record if ending.pruned else None
    some = {"reading": ending.reading, "listed": listed, "warnings": dict(ending.warnings), "pruned": pruned}
    some |= {name: list(getattr(ending, name)) for name in ("found", "skipped", "hooks")}
    identity = {"repository_id": ending.identity, "compared": list(ending.compared)}
    rare = {key: value for key, value in some.items() if value}
    return {**always, "detail": ending.detail, **rare, **identity}
