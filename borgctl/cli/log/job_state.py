"""How one job of a policy stands: its last run, its last good run, and whether that is recent enough.

A run that was accepted, has no exit record and no gate at work has broken off, and failed. It reads no log: `status`
gives it records.

    job = JobState("/etc/borgctl/web1.yaml", "default", good=record); job.judge(26 * 3600, now); job.state == "ok"
"""

import os
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from borgctl.cli.log.records import moment
from borgctl.console.age import Age, age
from borgctl.console.text import elapsed
from borgctl.state import run_locks
from borgctl.state.state_dir import StateDir
from borgctl.wire.frames import DRY_RUN, GOOD

_BROKEN_OFF = "broken-off"
_STATUS = {"ok": 0, "warning": 1, "failing": 1, "overdue": 2, "never": 2, "unusable": 2}


@dataclass(slots=True)
class JobState:
    """One job of a policy: its last run and its last good one, as records; `error`: the policy cannot be used."""

    policy: str
    job: str | None
    last: dict[str, Any] | None = None
    good: dict[str, Any] | None = None
    error: str | None = None
    state: str = "never"
    age: Age | None = None
    begun: dict[str, Any] | None = None  # the last run that was accepted and has not ended
    running: float | None = None  # for how many seconds, where its gate is at work

    def take(self, record: dict[str, Any]) -> None:
        """Take the next record of this job."""
        if record["type"] == "accept":
            self.begun = record
        elif record["type"] == "exit":
            self.begun, self.last = None, record
            if record.get("outcome") in GOOD and record.get("reason") != DRY_RUN:
                self.good = record

    def judge(self, longest: float, now: datetime, base: str | None = None) -> None:
        """Set `state`, where `longest` seconds may pass after a good run; `base` is the policy's state directory."""
        if self.begun is not None and _at_work(base, self.begun):
            begun = moment(self.begun)
            self.running = max(0.0, (now - begun).total_seconds()) if begun else 0.0
        elif self.begun is not None:
            self.last = {**self.begun, "outcome": "failed", "reason": _BROKEN_OFF}
        time = moment(self.good) if self.good else None
        self.age = age(time.timestamp(), now.timestamp()) if time else None
        if self.error:
            self.state = "unusable"
        elif self.age is None:
            self.state = "never"
        elif self.age.overdue(longest):
            self.state = "overdue"
        elif self.last is not self.good:
            self.state = "failing"
        else:
            self.state = "warning" if self.good and self.good.get("outcome") == "warning" else "ok"

    @property
    def status(self) -> int:
        """Return the exit status that this job alone would give."""
        return _STATUS[self.state]

    @property
    def broken_off(self) -> bool:
        """Tell whether the last run has no end, and its gate is not at work."""
        return self.last is not None and self.last.get("reason") == _BROKEN_OFF

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON; `age` and `running` in seconds."""
        names = {"policy": self.policy, "job": self.job, "state": self.state, "error": self.error}
        running = None if self.running is None else round(self.running)
        seconds = None if self.age is None else round(self.age.seconds)
        runs = {"good": _short(self.good), "last": _short(self.last)}
        return {**names, "age": seconds, "running": running, **runs}

    def __str__(self) -> str:
        title = f"{self.policy} {self.job or '(spelled out)'}: {self.state}"
        if self.error:
            return f"{self.policy}: {self.state}: {self.error}"
        ago = f" ({self.age})" if self.age else ""
        parts = [f"{title}, last good {self.good.get('time')}{ago}" if self.good else title]
        if self.last is not None and self.last is not self.good:
            ending = [str(self.last[key]) for key in ("outcome", "reason") if self.last.get(key)]
            parts.append(f"last run {self.last.get('time')} {' '.join(ending)}")
        if self.running is not None:
            parts.append(f"running for {elapsed(self.running)}")
        return ", ".join(parts)


def _short(record: dict[str, Any] | None) -> dict[str, Any] | None:
    return record and {key: record.get(key) for key in ("time", "run", "outcome", "reason")}


def _at_work(path: str | None, begun: dict[str, Any]) -> bool:
    """Tell whether the gate of this run is at work."""
    run, base = begun.get("run"), StateDir.known(path) if path else None
    if base is None:
        return False
    try:
        whole = isinstance(run, str) and re.fullmatch(r"[0-9a-f]{16}", run) is not None
        return whole and run_locks.is_running(base, str(run))
    finally:
        os.close(base.fd)
