"""Selection: the targets that a command line names, and what is done with each of them.

chosen(folders, ["web1"], every=False) == ["web1"]
"""

from collections.abc import Callable

from borgctl.errors import BadValue
from borgctl.pull.commands.output import complain, failure
from borgctl.pull.process.signals import Stop
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import Target, load, names


def chosen(folders: Folders, targets: list[str] | None, *, every: bool) -> list[str]:
    """Return the named targets, or every one that there is; raise PullError where that is none."""
    if bool(targets) == every:
        raise PullError("name targets or give --all, one of the two")
    texts = list(names(folders) if every else dict.fromkeys(targets or ()))
    if not texts:
        raise PullError(f"no target in {folders.targets}", "make one with: borgpull add TARGET HOST")
    return texts


def for_each(folders: Folders, texts: list[str], stop: Stop, act: Callable[[Target], int]) -> int:
    """Do something with each target; return the worst exit status. A target that fails does not stop the others."""
    worst = 0
    for text in texts:
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
        if stop.name is not None:
            return 2
    return worst
