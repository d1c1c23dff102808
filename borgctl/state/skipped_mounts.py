"""The file systems that a backup stays out of, as `one-file-system` says, and that nobody has excluded by name.

file_systems(launch) == ("/srv/a/db",)
"""

from borgctl.borg import patterns
from borgctl.borg.command import BorgCommand
from borgctl.fs import mountinfo
from borgctl.policy.model import Job


def file_systems(order: Job | BorgCommand) -> tuple[str, ...]:
    """Return where they are mounted just now."""
    if order.command != "create" or all(name != "one-file-system" for name, _ in order.options):
        return ()
    meant = patterns.excludes(order.options)
    return tuple(place for place in mountinfo.skipped(map(str, order.paths)) if not patterns.left_out(meant, place))
