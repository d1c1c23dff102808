"""`borgctl moved`: the repository is reached under another path, or another one stands in its place.

borg asks before it uses a repository under a new location; the gate says no, and yes once after this. What is known of
the repository (its id and key) goes along, so that another one is still refused; with `forget` it is given up.

    moved(policy, path, old=RepositoryPath("/srv/borg/old"), forget=False) == "…"
"""

import os

from borgctl.base import Base
from borgctl.errors import BadValue
from borgctl.policy import Policy
from borgctl.values import RepositoryPath

_KINDS = ("repository", "key", "recovery")


def moved(policy: Policy, path: RepositoryPath, old: RepositoryPath | None, *, forget: bool) -> str:
    """Note what the admin says about the repository at `path`; return a sentence about what follows from it."""
    if old is not None and forget:
        raise BadValue("say --from or --forget, not both")
    base = Base.open(policy.base)
    try:
        with base.lock_repository(path):
            if old is not None:
                return _carried(base, path, old)
            if forget:
                return _forgotten(base, path)
            return _told(base, path)
    finally:
        os.close(base.fd)


def _carried(base: Base, path: RepositoryPath, old: RepositoryPath) -> str:
    known = base.kept("repository", old)
    if known is None:
        raise BadValue(f"nothing is known here of a repository {old.text!r}: is it the path that the policy had?")
    if old == path or base.kept("repository", path) not in (None, known):
        raise BadValue(f"another repository is known here at {path.text!r}: give that up first, with --forget")
    base.keep("moved", path, old.text)
    for kind in _KINDS:
        if text := base.noted(kind, old):
            base.keep(kind, path, text)
    for kind in _KINDS:
        base.forget(kind, old)
    return f"the repository {known} is looked for at {path.text} from now on; another one, or another key, is refused"


def _forgotten(base: Base, path: RepositoryPath) -> str:
    for kind in _KINDS:
        base.forget(kind, path)
    base.keep("moved", path, path.text)
    return (
        f"nothing is known any more of the repository at {path.text}: what the server shows next is taken for it, "
        "so start the next run ('init' for a new one) when you have reason to trust that server"
    )


def _told(base: Base, path: RepositoryPath) -> str:
    known = base.kept("repository", path)
    if known is None:
        raise BadValue(f"nothing is known of {path.text!r}: say --from OLD-PATH, or --forget where there is none")
    if base.known_elsewhere("repository", path):  # seen here by a run whose borg refused it
        raise BadValue(f"the repository {known} was at another path before: say --from OLD-PATH")
    return (
        f"nothing has to be done: a server that has the repository {known} at {path.text} is taken for the old one; "
        "if another repository stands there now, say --forget"
    )
