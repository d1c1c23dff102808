"""How a request ended, and what borg's exit status says of it once all else is known that the gate saw.

Whatever the relay or the gate has seen outranks borg's own word: nothing strange is a success.

    verdict(status, door, stopped=watch.stopped)      by_gate("runtime-limit")
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from borgctl.borg import exit_code
from borgctl.borg.prune_list import Pruning
from borgctl.errors import REASONS
from borgctl.gate.transport import Door
from borgctl.wire.frames import DRY_RUN


@dataclass(frozen=True, slots=True)
class RunResult:
    """How it ended: `origin` tells whose status `code` is, `reason` is a code of `errors` where the gate ended it."""

    outcome: str
    origin: str
    code: int
    reason: str | None = None
    signal: int | None = None
    counts: tuple[int, int] | None = None  # bytes to the server, bytes from it
    detail: str | None = None  # for our own log
    identity: str | None = None  # the repository's id, as hexadecimal digits
    reading: str | None = None  # the file that borg was at when it was told to end; for our own log
    skipped: tuple[str, ...] = ()  # where file systems are mounted that were left out; for our own log
    compared: tuple[str, ...] = ()  # what of 'repository' (the id) and 'key' was compared before borg saw it
    pruned: Pruning | None = None
    hooks: tuple[str, ...] = ()  # which hooks failed or left something running, and how; for our own log
    warnings: Mapping[str, int] = field(default_factory=dict)  # of borg's, by kind
    found: tuple[str, ...] = ()  # the first errors that borg has found in the repository; for our own log


def by_gate(code: str, detail: str | None = None) -> RunResult:
    """Return the ending for a reason of ours."""
    reason = REASONS[code]
    return RunResult(reason.outcome, "gate", reason.status, code, detail=detail)


def instead(ending: RunResult, code: str) -> RunResult:
    """Return an ending with a reason of ours for how it ended, and all that is known of what borg did."""
    ours = by_gate(code)
    return replace(ending, outcome=ours.outcome, origin=ours.origin, code=ours.code, reason=ours.reason)


def verdict(
    status: int | None,
    door: Door,
    stopped: str | None = None,
    *,
    short: bool = False,
    reason: str | None = None,
    opens: bool = True,
    dry: bool = False,
) -> RunResult:
    """Read borg's exit status, or minus a signal's number, unless it was us who ended it (`stopped`).

    No status: nobody has said how it ended. `short`: it had no memory left. `reason`: what its log says of why it
    failed. `opens`: it has done nothing where it has not opened the repository. A `dry` run need not, and its reason
    keeps it from being taken for a backup.
    """
    ended = _verdict(status, door, stopped, short=short, reason=reason, opens=opens, dry=dry)
    identity = door.identity.hex() if door.identity else None
    died = -status if status is not None and status < 0 else None
    return replace(ended, signal=died, counts=door.counts, identity=identity, compared=door.compared)


def _verdict(
    status: int | None, door: Door, stopped: str | None, *, short: bool, reason: str | None, opens: bool, dry: bool
) -> RunResult:
    if stopped is not None:
        return by_gate(stopped)
    if (broken := _broken_by(door)) is not None:
        return broken
    if status is None:
        return by_gate("stopped", "the admin's borgctl has gone without saying how borg ended")
    outcome = exit_code.outcome(status)
    if short and outcome == "failed":
        return by_gate("memory-limit")
    if reason is not None and status >= 0 and (status != 1 or door.identity is not None):
        return by_gate(reason)
    if outcome == "failed":
        return RunResult(outcome, "borg", exit_code.as_shell(status))
    if dry:
        return RunResult(outcome, "borg", status, DRY_RUN)
    if opens and door.identity is None:
        return by_gate("borg-missing", f"borg ended with status {status} and has not opened the repository")
    return RunResult(outcome, "borg", status)


def _broken_by(door: Door) -> RunResult | None:
    """Return the ending of what did not speak as it should, None where both sides did."""
    if door.failed is not None:
        return by_gate(door.failed.reason.code, door.failed.detail)
    if door.refused:
        return by_gate("repository-replaced")
    if door.strange:
        return by_gate("transport-failed", "the server does not speak borg's protocol, or not in turn")
    if door.unknown:
        return by_gate("borg-unsupported", "borg asked the server for what no borg asks for that is known")
    return None
