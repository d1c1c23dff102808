"""lint's warnings about a backup that saves more, or less, than its lines seem to say.

Each warning is one sentence with what to do. It does not know the rest of the policy (`lint_rules`).

    list(advise(job)) == ["exclude '~/.cache' matches nothing, …"]
"""

import os
import re
import stat
from collections.abc import Iterator

from borgctl.borg import patterns
from borgctl.fs import mountinfo
from borgctl.policy import locations
from borgctl.policy.model import Job
from borgctl.state import skipped_mounts, source_paths

# after an option pattern's sign and a style: '- ~/x', 'sh:$HOME/x'
_SHELL = re.compile(r"(?:[-+!] *|[PRpr] +)?(?:(?:fm|sh|pp|pf):)?(~[a-z0-9_-]*|\$HOME|\$\w+)(?:/|\Z)")

_MOST = 5  # places that are listed; a host of containers has a hundred


def advise(job: Job) -> Iterator[str]:
    """Yield the warnings about a job of command create."""
    yield from _unexpanded(job)
    if places := skipped_mounts.file_systems(job):
        which = ", ".join(map(repr, places[:_MOST])) + (f" and {len(places) - _MOST} more" if places[_MOST:] else "")
        yield f"'one-file-system' leaves out what is mounted at {which}: add it to 'paths', or to 'exclude' if meant"
    yield from _kernel_files(job)
    if "read-special" in dict(job.options):
        yield from _special(job)


def _special(job: Job) -> Iterator[str]:
    """Check for pipes and devices that `read-special` reads."""
    pipes = [str(path) for path in job.paths if _is_pipe(str(path))]
    for path in pipes:
        what = f"{path!r} is a pipe, and a run fails if it waits there for a minute"
        hook = f"[/usr/bin/setsid, --fork, /bin/sh, -c, 'PROGRAM >{path}']"
        yield f"{what}: let a hook of 'before' start the program that writes to it, like {hook}"
    if any(str(path) not in pipes and not source_paths.is_device(str(path)) for path in job.paths):
        yield "read-special: borg reads whole devices and waits at pipes: put their paths into a job of their own"


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.lstat(path).st_mode)
    except OSError:
        return False


def _kernel_files(job: Job) -> Iterator[str]:
    """Check for the kernel's files in the trees of containers and other roots."""
    options = dict(job.options)
    if "one-file-system" in options:
        return
    for place in mountinfo.kernel_mounts(map(str, job.paths)):
        if not patterns.left_out(patterns.excludes(job.options), f"{place}/x"):
            yield f"the kernel's own files at {place!r} are in the backup: add 'sh:{place}/*' to 'exclude'"


def _unexpanded(job: Job) -> Iterator[str]:
    """Check for what a shell would replace, but borg takes literally."""
    for name, value in job.options:
        if name in ("exclude", "pattern") and (match := _SHELL.match(value or "")):
            home = locations.home().rstrip("/")
            yield (
                f"{name} {value!r} matches nothing, as no shell reads {match[1]!r}: write the directory out, "
                f"like '{home}/…', or 'sh:/home/*/…' for that of each user"
            )
