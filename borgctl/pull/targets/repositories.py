"""Repositories: which targets share one, or have one inside another's.

A shared one works: borg's lock lets in one at a time. One inside another's is always a mistake: who removes, moves or
repairs the outer one does it to both.

    overlaps({"a": "/srv/a", "b": "/srv/a", "c": "/srv/a/c"})["c"]      "its repository is inside that of 'a', /srv/a"
"""

import os
from collections import defaultdict
from collections.abc import Mapping

from borgctl.errors import BadValue
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import Target, load, names

_MOST = 3  # targets that a sentence names


def place(target: Target) -> str:
    """Return where a target's repository is, with symlinks followed."""
    return os.path.realpath(str(target.repository))


def overlaps(places: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence for each target whose repository another one has too, or that is inside another's."""
    owners = defaultdict(list)
    for target, path in places.items():
        owners[path].append(target)
    sentences = {}
    for target, path in places.items():
        outer = next((above for above in _above(path) if above in owners), None)
        others = [other for other in owners[path] if other != target]
        if outer is not None:
            sentences[target] = f"its repository is inside that of {_listed(owners[outer])}, {outer}"
        elif others:
            sentences[target] = (
                f"its repository is also that of {_listed(others)}: only one of them can use it at a time"
            )
    return sentences


def require_apart(folders: Folders, path: str) -> None:
    """Raise PullError where a new repository would be inside a target's, or around it."""
    new = os.path.realpath(path)
    for text in names(folders):
        try:
            other = place(load(folders, TargetName(text)))
        except (PullError, BadValue):  # nobody knows where its repository is
            continue
        if new in _above(other) or other in _above(new):
            why = f"repository {path} and that of target {text!r}, {other}, would be one inside the other"
            raise PullError(why, "choose another place with --repository")


def _above(path: str) -> list[str]:
    """Return the directories above a normal path, the nearest first, without '/'."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 1, -1)]


def _listed(targets: list[str]) -> str:
    more = len(targets) - _MOST
    return ", ".join(map(repr, targets[:_MOST])) + (f" and {more} more" if more > 0 else "")
