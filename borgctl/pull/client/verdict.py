"""Verdict: how a run or another call ended, in one small value. This module judges nothing: that is `report/outcome`.

Verdict("failed", "ssh", 255, "ssh-failed")
"""

from borgctl.data_class import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended, who says so (borg, gate, ssh, serve, guard, launcher), their exit status, and a reason code."""

    outcome: str
    origin: str
    code: int | None = None
    reason: str | None = None
