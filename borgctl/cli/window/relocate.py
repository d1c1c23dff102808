"""`borgctl moved`: the repository has another path, another one stands in its place, or an older state of it.

borg asks before it uses a repository under a new location; the gate says no, and yes once after this. What is known of
the repository (its id and key) goes along, so that another one is still refused; with `forget` it is given up. borg
refuses a repository that is older than what it saw; with `earlier` it forgets how new that was, and nothing else: above
all not the nonces that were used.

    moved(policy, path, old=RepositoryPath("/srv/borg/old"), forget=False, earlier=False) == "…"
"""

import contextlib
import os
from collections.abc import Iterator

from borgctl.errors import BadValue
from borgctl.fs.remove_tree import remove_tree
from borgctl.policy.model import Policy
from borgctl.state import pins, run_locks
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = ("repository", "key", "recovery")


def moved(policy: Policy, path: RepositoryPath, old: RepositoryPath | None, *, forget: bool, earlier: bool) -> str:
    """Note what the admin says about the repository at `path`; return a sentence about what follows from it."""
    if (old is not None) + forget + earlier > 1:
        raise BadValue("say --from, --forget or --earlier, one of them")
    base = StateDir.open(policy.base)
    try:
        with run_locks.lock_repository(base, path):
            if old is not None:
                return _carried(base, path, old)
            if forget:
                return _forgotten(base, path)
            if earlier:
                return _older(base, path)
            return _told(base, path)
    finally:
        os.close(base.fd)


def _carried(base: StateDir, path: RepositoryPath, old: RepositoryPath) -> str:
    known = pins.pin(base, "repository", old)
    if known is None:
        raise BadValue(f"nothing is known here of a repository {old.text!r}: is it the path that the policy had?")
    if old == path or pins.pin(base, "repository", path) not in (None, known):
        raise BadValue(f"another repository is known here at {path.text!r}: give that up first, with --forget")
    pins.set_pin(base, "moved", path, old.text)
    for kind in _KINDS:
        if text := pins.note(base, kind, old):
            pins.set_pin(base, kind, path, text)
    for kind in _KINDS:
        pins.delete(base, kind, old)
    return f"the repository {known} is looked for at {path.text} from now on; another one, or another key, is refused"


def _forgotten(base: StateDir, path: RepositoryPath) -> str:
    for kind in _KINDS:
        pins.delete(base, kind, path)
    pins.set_pin(base, "moved", path, path.text)
    return (
        f"nothing is known any more of the repository at {path.text}: what the server shows next is taken for it, "
        "so start the next run ('init' for a new one) when you have reason to trust that server"
    )


def _older(base: StateDir, path: RepositoryPath) -> str:
    known = pins.pin(base, "repository", path)
    if known is None:
        raise BadValue(f"nothing is known of {path.text!r}: was it ever used?")
    with _below(base.fd, "borg", ".config", "borg", "security", known) as security:
        if security is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink("manifest-timestamp", dir_fd=security)
    with _below(base.fd, "borg", ".cache", "borg") as cache:
        if cache is not None:
            remove_tree(cache, known)
    return (
        f"the state of the repository {known} that the server shows next is taken, also if it is older than what was "
        "seen here: archives made since then are gone"
    )


@contextlib.contextmanager
def _below(top: int, *names: str) -> Iterator[int | None]:
    """Open a directory of borg's user step by step, following no link; None where there is none."""
    fd = os.dup(top)
    try:
        for name in names:
            above, fd = fd, os.open(name, _DIRECTORY, dir_fd=fd)
            os.close(above)
    except FileNotFoundError:
        os.close(fd)
        yield None
        return
    except OSError as error:
        os.close(fd)
        raise BadValue(f"{'/'.join(names)!r} in the policy's 'base': {error.strerror}") from None
    try:
        yield fd
    finally:
        os.close(fd)


def _told(base: StateDir, path: RepositoryPath) -> str:
    known = pins.pin(base, "repository", path)
    if known is None:
        raise BadValue(f"nothing is known of {path.text!r}: say --from OLD-PATH, or --forget where there is none")
    if pins.is_pinned_elsewhere(base, "repository", path):  # seen here by a run whose borg refused it
        raise BadValue(f"the repository {known} was at another path before: say --from OLD-PATH")
    return (
        f"nothing has to be done: a server that has the repository {known} at {path.text} is taken for the old one; "
        "if another repository stands there now, say --forget"
    )
