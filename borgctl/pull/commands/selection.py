"""Selection: the targets that a command line names, and what is done with each of them.

chosen(folders, ["web1", "@db"], every=False).texts == ("db1", "web1")
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime

from borgctl.console import since as moments
from borgctl.errors import BadValue
from borgctl.pull.commands.output import complain, failure
from borgctl.pull.process.signals import Stop
from borgctl.pull.targets import selection
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.selection import Selection
from borgctl.pull.targets.targets import Target, load


def chosen(folders: Folders, targets: list[str] | None, *, every: bool) -> Selection:
    """Return the targets that are named, by their tags too, or every one; raise PullError where that is none."""
    if bool(targets) == every:
        raise PullError("name targets or give --all, one of the two")
    found = all_or(folders, targets, every=every)
    if not found.texts:
        raise PullError(f"no target in {folders.targets}", "make one with: borgpull add TARGET HOST")
    return found


def all_or(folders: Folders, targets: list[str] | None, *, every: bool) -> Selection:
    """Return the targets that are named, by their tags too; every one where none is."""
    if every and targets:
        raise PullError("name targets or give --all, one of the two")
    return selection.select(folders, targets) if targets else selection.every(folders)


def existing(folders: Folders, targets: list[str] | None, *, every: bool) -> Selection:
    """Return what `all_or` does; raise PullError or BadValue where a name is no target's."""
    found = all_or(folders, targets, every=every)
    for name in map(TargetName, sorted(found.named)):
        if not os.path.lexists(folders.target(name)):
            raise PullError(f"no target {str(name)!r} ({folders.target(name)})")
    return found


def moment(since: str | None) -> float | None:
    """Return the time from which on a person wants to see something, in seconds since the epoch."""
    return moments.since(since, datetime.now(UTC)).timestamp() if since else None


def for_each(folders: Folders, chosen: Selection, stop: Stop | None, act: Callable[[Target], int]) -> int:
    """Do something with each target; return the worst exit status. A target that fails does not stop the others."""
    worst = 0
    for text in chosen.texts:
        try:
            worst = max(worst, act(load(folders, TargetName(text))))
        except (PullError, BadValue) as error:
            complain(error)
            worst = 2
        except BrokenPipeError:  # nobody reads stdout any more
            raise
        except OSError as error:
            complain(failure(error))
            worst = 2
        if stop is not None and stop.name is not None:
            return 2
    return worst
