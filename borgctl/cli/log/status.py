"""`borgctl status`: is anyone still pulling this machine? The last good run of each job, from the audit log.

It judges the jobs that make archives, and, in a policy without one, the `create` that a server may spell out. It
believes the log; whether the log is whole is for `borgctl audit verify`.

    status(["/etc/borgctl/web1.yaml"], 26 * 3600, now).status      0 all well, 1 look at it, 2 overdue
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import sleep
from typing import Any

from borgctl.borg.log_messages import DAMAGED
from borgctl.cli.log import read as log_read
from borgctl.cli.log.damage import Damage, Damages
from borgctl.cli.log.job_state import JobState
from borgctl.cli.log.records import record
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import load
from borgctl.policy.model import Policy
from borgctl.reasons import REASONS
from borgctl.text import printable

_SETTLES = 1.0  # seconds: a gate stops looking at work some milliseconds before its last record is written


@dataclass(frozen=True, slots=True)
class Findings:
    """All jobs of all policies, and the damage that stands."""

    jobs: list[JobState] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Return the exit status."""
        return 2 if self.damages else max((job.status for job in self.jobs), default=2)

    @property
    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "status": self.status,
            "jobs": [job.plain for job in self.jobs],
            "damages": [damage.plain for damage in self.damages],
        }

    @property
    def lines(self) -> list[str]:
        """Return it for people."""
        hint = [f"hint: {REASONS[DAMAGED].advice}"] if self.damages else []
        jobs = [printable(str(job)) for job in self.jobs] or ["no job that makes archives"]
        return [*jobs, *(printable(str(damage)) for damage in self.damages), *hint]


def status(files: Sequence[str], longest: float, now: datetime) -> Findings:
    """Return how each job of these policies stands; after a good run, `longest` seconds may pass until the next."""
    findings = _status(files, longest, now)
    if any(job.broken_off for job in findings.jobs):  # or its gate is just about to write how it ended
        sleep(_SETTLES)
        findings = _status(files, longest, now)
    return findings


def _status(files: Sequence[str], longest: float, now: datetime) -> Findings:
    findings = Findings()
    logs: dict[str, dict[str, list[JobState]]] = {}  # jobs by log and policy
    bases: dict[str, str] = {}
    for file in files:
        try:
            policy = load.read(file)
        except BorgctlError as error:
            findings.jobs.append(JobState(file, None, error=error.detail))
            continue
        bases[file] = policy.base
        logs.setdefault(policy.audit.file, {})[file] = [JobState(file, name) for name in _jobs(policy)]
    for log, policies in logs.items():
        jobs, damages = [job for of_policy in policies.values() for job in of_policy], Damages()
        findings.jobs.extend(jobs)
        _read({(job.policy, job.job): job for job in jobs}, damages, log)
        findings.damages.extend(damage for policy in policies for damage in damages.of(policy))
    for job in findings.jobs:
        job.judge(longest, now, bases.get(job.policy))
    return findings


def _jobs(policy: Policy) -> Iterator[str | None]:
    creating = [name for name, job in policy.jobs.items() if job.command == "create"]
    yield from creating
    if not creating and "create" in policy.commands:
        yield None


def _read(jobs: dict[tuple[str, str | None], JobState], damages: Damages, log: str) -> None:
    """Give each job its records, and `damages` all of them; a log that does not exist has none."""
    try:
        for line in log_read.lines(log_read.parts(log)):
            if b'"exit"' in line.text or b'"accept"' in line.text:
                entry = record(line.text)
                if job := _job_of(jobs, entry):
                    job.take(entry)
                damages.take(entry)
    except BadValue as error:
        if os.path.lexists(log):  # else nobody has pulled yet
            for job in jobs.values():
                job.error = str(error)


def _job_of(jobs: dict[tuple[str, str | None], JobState], entry: dict[str, Any]) -> JobState | None:
    policy, name = entry.get("policy"), entry.get("job")
    if entry.get("command") != "create" or not isinstance(policy, str):
        return None
    return jobs.get((policy, name)) if name is None or isinstance(name, str) else None
