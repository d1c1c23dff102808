"""retry: whether a run may go well if it is tried again soon, and when to try.

Again: no connection, a lost one, somebody else at work, too many requests. Not again: what was refused, a wrong key or
host key, a policy, a failed backup.

    may_pass(report), delay(0, 60.0)
"""

import os

from borgctl.pull.report.hints import ssh_failure
from borgctl.pull.report.report import RunReport

PASSING = frozenset(
    {
        *("connection-lost", "disconnected", "transport-failed"),
        *("target-busy", "repository-busy", "rate-limited", "sessions-full"),
    }
)
_TIMES = 4


def may_pass(report: RunReport) -> bool:
    """Tell whether what the run failed by may pass within minutes."""
    if report.verdict.reason == "ssh-failed":
        words = (message.text for message in report.transcript.messages if message.source == "unframed")
        return ssh_failure(words) == "ssh"
    return report.verdict.reason in PASSING


def delay(number: int, first: float) -> float:
    """Return how many seconds to wait before try `number` + 1: about `first`, then four times as long each time.

    It is drawn between half of that and all of it, so that many do not come back at once.
    """
    share = int.from_bytes(os.urandom(4)) / 0xFFFFFFFF
    return first * float(_TIMES**number) * (0.5 + share / 2)
