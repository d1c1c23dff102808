"""unlock: show who holds the lock of a target's repository, and remove a lock that nobody will release.

Every run removes what dead processes of this machine left (`serve.release`). Nobody here can tell whether a process of
another machine lives, so a person decides. The target's lock is held meanwhile, so no run of ours is at work.

    for line in unlock(folders, target, really=True, now=time.time()): print(line)
"""

import time

from borgctl.pull.repository import serve
from borgctl.pull.repository.lock_holders import holders, remove
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, lock
from borgctl.pull.targets.targets import Target


def unlock(folders: Folders, target: Target, *, really: bool, now: float) -> list[str]:
    """Remove the lock if `really`; return who has, or had, it. May raise Busy and PullError."""
    repository = str(target.repository)
    with lock(folders, target.name):
        holding = holders(folders, repository)
        if really:
            remove(folders, repository, holding)
            serve.release(folders, target)
            if holders(folders, repository):
                raise PullError(f"{repository} is locked again", f"see: borgpull unlock {target.name}")
    return [holder.sentence(now) for holder in holding]


def lock_hint(folders: Folders, target: Target) -> str | None:
    """Return a hint with the holder of the repository's lock, None where nobody holds it."""
    holding = holders(folders, str(target.repository))
    if not holding:
        return None
    return (
        f"the repository is locked by {holding[0].sentence(time.time())}: end that, or, where it has ended: "
        f"borgpull unlock {target.name} --yes"
    )
