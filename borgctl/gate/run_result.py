"""How an invocation ends: the outcome, whose status it is, the reason; and all that is known of what borg did.

by_gate("unknown-job") == RunResult("refused", "gate", 77, "unknown-job")
"""

from collections.abc import Mapping

from borgctl.borg.prune_list import Pruning
from borgctl.data_class import dataclass, field, replace
from borgctl.reasons import REASONS


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
