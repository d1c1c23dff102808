"""Which archives a prune is about: those that a job of the same policy makes, and those of a host's former name.

A glob with {hostname} follows the host to its new name, and the archives of the old one are pruned no more. So the base
keeps the names that this host had. What is matched is asked of names for one fixed time; it reads no repository.

    unpruned(policy, "web2", ("web1",)) == ("web1",)
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator

from borgctl.policy.model import Job, Policy
from borgctl.policy.placeholders import SAMPLE, Names, Template
from borgctl.state.state_dir import StateDir

_MOST = 8  # names of one host
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


def archive(job: Job, hostname: str) -> str | None:
    """Return the name of an archive that this job makes, None where it makes none."""
    return None if job.archive is None else job.archive.expand(Names(hostname, str(job.name), SAMPLE.now))


def glob(job: Job, hostname: str) -> str:
    """Return the names that this prune is about."""
    pattern = dict(job.options).get("glob-archives") or "*"
    return Template(pattern).expand(Names(hostname, str(job.name), SAMPLE.now))


def makers(policy: Policy, prune: Job) -> list[str]:
    """Return the jobs whose archives a prune is about."""
    pattern = glob(prune, SAMPLE.hostname)
    named = ((name, archive(job, SAMPLE.hostname)) for name, job in policy.jobs.items())
    return [name for name, text in named if text is not None and fnmatch.fnmatchcase(text, pattern)]


def is_pruned(policy: Policy, job: Job, called: str, hostname: str) -> bool:
    """Tell whether a prune of this policy, on a host of this name, is about what a job made on one so `called`."""
    text = archive(job, called)
    return text is not None and any(fnmatch.fnmatchcase(text, glob(prune, hostname)) for prune in _prunes(policy))


def unpruned(policy: Policy, hostname: str, former: Iterable[str]) -> tuple[str, ...]:
    """Return the former names of this host under which archives were made that were pruned then, and are no more."""
    made = [job for job in policy.jobs.values() if is_pruned(policy, job, hostname, hostname)]
    return tuple(name for name in former if not all(is_pruned(policy, job, name, hostname) for job in made))


def former_names(base: StateDir, hostname: str) -> tuple[str, ...]:
    """Return the names that this host had before, as far as the base knows."""
    return tuple(name for name in base.hostnames() if _NAME.fullmatch(name) and name != hostname)


def note_name(base: StateDir, hostname: str) -> None:
    """Keep the name that this host has now, the latest first."""
    if _NAME.fullmatch(hostname) and base.hostnames()[:1] != [hostname]:
        base.note_hostnames([hostname, *former_names(base, hostname)][:_MOST])


def _prunes(policy: Policy) -> Iterator[Job]:
    return (job for job in policy.jobs.values() if job.command == "prune")
