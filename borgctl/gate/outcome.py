"""What borg's exit status says once all else is known that the gate saw.

Whatever the relay or the gate has seen outranks borg's own word: nothing strange is a success.

    verdict(status, relay_listener, stopped=watch.stopped)
"""

from borgctl.borg import exit_code
from borgctl.data_class import replace
from borgctl.gate.relay_listener import RelayListener
from borgctl.gate.run_result import RunResult, by_gate
from borgctl.wire.frames import DRY_RUN


def verdict(
    status: int | None,
    relay_listener: RelayListener,
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
    ended = _verdict(status, relay_listener, stopped, short=short, reason=reason, opens=opens, dry=dry)
    identity = relay_listener.identity.hex() if relay_listener.identity else None
    died = -status if status is not None and status < 0 else None
    return replace(
        ended, signal=died, counts=relay_listener.counts, identity=identity, compared=relay_listener.compared
    )


def _verdict(
    status: int | None,
    relay_listener: RelayListener,
    stopped: str | None,
    *,
    short: bool,
    reason: str | None,
    opens: bool,
    dry: bool,
) -> RunResult:
    if stopped is not None:
        return by_gate(stopped)
    if (broken := _broken_by(relay_listener)) is not None:
        return broken
    if status is None:
        return by_gate("stopped", "the admin's borgctl has gone without saying how borg ended")
    outcome = exit_code.outcome(status)
    if short and outcome == "failed":
        return by_gate("memory-limit")
    if reason is not None and status >= 0 and (status != 1 or relay_listener.identity is not None):
        return by_gate(reason)
    if outcome == "failed":
        return RunResult(outcome, "borg", exit_code.as_shell(status))
    if dry:
        return RunResult(outcome, "borg", status, DRY_RUN)
    if opens and relay_listener.identity is None:
        return by_gate("borg-missing", f"borg ended with status {status} and has not opened the repository")
    return RunResult(outcome, "borg", status)


def _broken_by(relay_listener: RelayListener) -> RunResult | None:
    """Return the ending of what did not speak as it should, None where both sides did."""
    if relay_listener.failed is not None:
        return by_gate(relay_listener.failed.reason.code, relay_listener.failed.detail)
    if relay_listener.refused:
        return by_gate("repository-replaced")
    if relay_listener.strange:
        return by_gate("transport-failed", "the server does not speak borg's protocol, or not in turn")
    if relay_listener.unknown:
        return by_gate("borg-unsupported", "borg asked the server for what no borg asks for that is known")
    return None
