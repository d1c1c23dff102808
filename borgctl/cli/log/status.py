"""`borgctl status`: is anyone still pulling this machine? The last good run of each job, from the audit log.

Judged are the jobs of the policies that make archives, and what a server may spell out where there are none. A run that
was accepted, whose end is in no record and whose gate is not at work has broken off, and failed. The log is believed;
whether it may be is `borgctl audit verify`'s.

    status(["/etc/borgctl/web1.yaml"], 26 * 3600, now).status      0 all well, 1 look at it, 2 overdue
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import sleep
from typing import Any

from borgctl.borg.log_messages import DAMAGED
from borgctl.cli.log import read as log_read
from borgctl.cli.log.damage import Damage, Damages
from borgctl.cli.log.show import moment, record
from borgctl.console.age import Age, age
from borgctl.console.text import elapsed
from borgctl.errors import REASONS, BadValue, BorgctlError
from borgctl.policy import load
from borgctl.policy.model import Policy
from borgctl.state import run_locks
from borgctl.state.state_dir import StateDir
from borgctl.text import printable
from borgctl.wire.frames import DRY_RUN, GOOD

_BROKEN_OFF = "broken-off"
_SETTLES = 1.0  # seconds: a gate gives up what shows that it is at work some milliseconds before its last record stands
_STATUS = {"ok": 0, "warning": 1, "failing": 1, "overdue": 2, "never": 2, "unusable": 2}


@dataclass(slots=True)
class Pulled:
    """One job of a policy: its last run and its last good one, as records; `error`: the policy cannot be used."""

    policy: str
    job: str | None
    last: dict[str, Any] | None = None
    good: dict[str, Any] | None = None
    error: str | None = None
    state: str = "never"
    age: Age | None = None
    begun: dict[str, Any] | None = None  # the last that was accepted and has not ended
    running: float | None = None  # for how many seconds, where its gate is at work

    def judge(self, longest: float, now: datetime, base: str | None = None) -> None:
        """Say how it stands; `base` is the policy's state directory."""
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
    def broken_off(self) -> bool:
        """Tell whether the last run has no end, and its gate is not at work."""
        return self.last is not None and self.last.get("reason") == _BROKEN_OFF

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON; `age` in seconds."""
        told = [one and {key: one.get(key) for key in ("time", "run", "outcome", "reason")} for one in _both(self)]
        names = {"policy": self.policy, "job": self.job, "state": self.state, "error": self.error}
        running = None if self.running is None else round(self.running)
        age = None if self.age is None else round(self.age.seconds)
        return {**names, "age": age, "running": running, "good": told[0], "last": told[1]}

    def __str__(self) -> str:
        title = f"{self.policy} {self.job or '(spelled out)'}: {self.state}"
        if self.error:
            return f"{self.policy}: {self.state}: {self.error}"
        ago = f" ({self.age})" if self.age else ""
        parts = [f"{title}, last good {self.good.get('time')}{ago}" if self.good else title]
        if self.last is not None and self.last is not self.good:
            told = [str(self.last[key]) for key in ("outcome", "reason") if self.last.get(key)]
            parts.append(f"last run {self.last.get('time')} {' '.join(told)}")
        if self.running is not None:
            parts.append(f"running for {elapsed(self.running)}")
        return ", ".join(parts)


def _both(one: Pulled) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    return one.good, one.last


@dataclass(frozen=True, slots=True)
class Findings:
    """All jobs of all policies, and the damage that stands."""

    jobs: list[Pulled] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Return the exit status."""
        return 2 if self.damages else max((_STATUS[one.state] for one in self.jobs), default=2)

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "status": self.status,
            "jobs": [one.plain for one in self.jobs],
            "damages": [one.plain for one in self.damages],
        }

    @property
    def lines(self) -> list[str]:
        """Return it for people."""
        hint = [f"hint: {REASONS[DAMAGED].advice}"] if self.damages else []
        jobs = [printable(str(one)) for one in self.jobs] or ["no job that makes archives"]
        return [*jobs, *(printable(str(one)) for one in self.damages), *hint]


def status(files: Sequence[str], longest: float, now: datetime) -> Findings:
    """Return how each job of these policies stands, where `longest` seconds may have passed since its last good run."""
    findings = _status(files, longest, now)
    if any(one.broken_off for one in findings.jobs):  # or its gate is just about to write how it ended
        sleep(_SETTLES)
        findings = _status(files, longest, now)
    return findings


def _status(files: Sequence[str], longest: float, now: datetime) -> Findings:
    findings = Findings()
    read: dict[str, dict[str, list[Pulled]]] = {}  # by log and policy
    bases: dict[str, str] = {}
    for file in files:
        try:
            policy = load.read(file)
        except BorgctlError as error:
            findings.jobs.append(Pulled(file, None, error=error.detail))
            continue
        bases[file] = policy.base
        read.setdefault(policy.audit.file, {})[file] = [Pulled(file, job) for job in _jobs(policy)]
    for log, policies in read.items():
        jobs, damages = [one for some in policies.values() for one in some], Damages()
        findings.jobs.extend(jobs)
        _fill({(one.policy, one.job): one for one in jobs}, damages, log)
        findings.damages.extend(one for policy in policies for one in damages.of(policy))
    for one in findings.jobs:
        one.judge(longest, now, bases.get(one.policy))
    return findings


def _jobs(policy: Policy) -> Iterator[str | None]:
    made = [name for name, job in policy.jobs.items() if job.command == "create"]
    yield from made
    if not made and "create" in policy.commands:
        yield None


def _fill(jobs: dict[tuple[str, str | None], Pulled], damages: Damages, log: str) -> None:
    """Find each job's last records, and what damage stands; a log that is not there has none."""
    try:
        lines = log_read.lines(log_read.parts(log))
        for line in lines:
            if b'"exit"' in line.text or b'"accept"' in line.text:
                told = record(line.text)
                _take(jobs, told)
                damages.take(told)
    except BadValue as error:
        if os.path.lexists(log):  # else nobody has come yet
            for one in jobs.values():
                one.error = str(error)


def _take(jobs: dict[tuple[str, str | None], Pulled], told: dict[str, Any]) -> None:
    policy, job = told.get("policy"), told.get("job")
    if told.get("command") != "create" or not isinstance(policy, str):
        return
    found = jobs.get((policy, job)) if job is None or isinstance(job, str) else None
    if found is not None and told["type"] == "accept":
        found.begun = told
    elif found is not None and told["type"] == "exit":
        found.begun, found.last = None, told
        good = told.get("outcome") in GOOD and told.get("reason") != DRY_RUN
        found.good = told if good else found.good


def _at_work(path: str | None, begun: dict[str, Any]) -> bool:
    """Tell whether the gate of this run is at work."""
    run, base = begun.get("run"), StateDir.known(path) if path else None
    if base is None:
        return False
    try:
        return (
            isinstance(run, str) and re.fullmatch(r"[0-9a-f]{16}", run) is not None and run_locks.is_running(base, run)
        )
    finally:
        os.close(base.fd)
