"""unlock: who holds the lock of a target's repository, and an end to one that nobody will give back.

What dead processes of this machine have left every run removes by itself (`serve.release`). Of another machine's lock
nobody here can tell, so a person looks and decides. The target's lock is held meanwhile: no run of ours is at work.

    for line in unlock(folders, target, really=True, now=time.time()): print(line)
"""

import time

from borgctl.pull.repository import serve
from borgctl.pull.repository.lock_holders import holders, remove
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, lock
from borgctl.pull.targets.targets import Target


def unlock(folders: Folders, target: Target, *, really: bool, now: float) -> list[str]:
    """Remove the lock if that is `really` wanted; return who has, or had, it. May raise Busy, and PullError."""
    repository = str(target.repository)
    with lock(folders, target.name):
        found = holders(folders, repository)
        if really:
            remove(folders, repository, found)
            serve.release(folders, target)
            if holders(folders, repository):
                raise PullError(f"{repository} is locked anew", f"see: borgpull unlock {target.name}")
    return [holder.sentence(now) for holder in found]


def locked(folders: Folders, target: Target) -> str | None:
    """Return a hint that says who holds the repository's lock, if anybody does."""
    found = holders(folders, str(target.repository))
    if not found:
        return None
    return (
        f"the repository is locked by {found[0].sentence(time.time())}: end that, or, where it has ended: "
        f"borgpull unlock {target.name} --yes"
    )
