"""What a job that backs up saves, or leaves out, other than a reader of its lines would think.

Each finding is one sentence with what to do. It does not know the rest of the policy (`lint_rules`).

    list(unsaid(job)) == ["exclude '~/.cache' matches nothing, …"]
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

# behind an option pattern's sign and a style: '- ~/x', 'sh:$HOME/x'
_SHELL = re.compile(r"(?:[-+!] *|[PRpr] +)?(?:(?:fm|sh|pp|pf):)?(~[a-z0-9_-]*|\$HOME|\$\w+)(?:/|\Z)")

_MOST = 5  # places that are named; a host of containers has a hundred


def unsaid(job: Job) -> Iterator[str]:
    """Yield what is to be said of a job 'create'."""
    yield from _unexpanded(job)
    if places := skipped_mounts.file_systems(job):
        named = ", ".join(map(repr, places[:_MOST])) + (f" and {len(places) - _MOST} more" if places[_MOST:] else "")
        yield f"'one-file-system' keeps out what is mounted at {named}: add it to 'paths', or to 'exclude' if meant"
    yield from _of_the_kernel(job)
    if "read-special" in dict(job.options):
        yield from _special(job)


def _special(job: Job) -> Iterator[str]:
    """Look at what is read that is no file."""
    pipes = [str(path) for path in job.paths if _is_pipe(str(path))]
    for path in pipes:
        what = f"{path!r} is a pipe, and a run fails that waits there for a minute"
        hook = f"[/usr/bin/setsid, --fork, /bin/sh, -c, 'PROGRAM >{path}']"
        yield f"{what}: let a hook 'before' start what writes there, like {hook}"
    if any(str(path) not in pipes and not source_paths.is_device(str(path)) for path in job.paths):
        yield "read-special: borg reads whole devices and waits at pipes: keep their paths in a job of their own"


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.lstat(path).st_mode)
    except OSError:
        return False


def _of_the_kernel(job: Job) -> Iterator[str]:
    """Look for the kernel's files in the trees of containers and other roots."""
    options = dict(job.options)
    if "one-file-system" in options:
        return
    for place in mountinfo.kernel_mounts(map(str, job.paths)):
        if not patterns.left_out(patterns.excludes(job.options), f"{place}/x"):
            yield f"the kernel's own files at {place!r} are in the backup: add 'sh:{place}/*' to 'exclude'"


def _unexpanded(job: Job) -> Iterator[str]:
    """Look for what a shell would have replaced; borg takes it as it stands."""
    for name, value in job.options:
        if name in ("exclude", "pattern") and (match := _SHELL.match(value or "")):
            home = locations.home().rstrip("/")
            yield (
                f"{name} {value!r} matches nothing, as no shell reads {match[1]!r}: write the directory out, "
                f"like '{home}/…', or 'sh:/home/*/…' for that of each user"
            )
