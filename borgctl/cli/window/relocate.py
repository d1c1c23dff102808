"""`borgctl moved`: the repository has another path, or another one, or an earlier state of it, has taken its place.

borg asks before it uses a repository at a new location. The gate answers no, and yes once after this command. The pins
of the repository (its id and key) move along, so that another one is still refused; `forget` deletes them. borg refuses
a repository that is older than the last state it saw. `earlier` deletes that memory and nothing else: above all not the
nonces that were used.

    relocate(policy, path, old=RepositoryPath("/srv/borg/old"), forget=False, earlier=False) == "…"
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


def relocate(policy: Policy, path: RepositoryPath, old: RepositoryPath | None, *, forget: bool, earlier: bool) -> str:
    """Note what the admin says about the repository at `path`; return a sentence about the result."""
    if (old is not None) + forget + earlier > 1:
        raise BadValue("say --from, --forget or --earlier, one of them")
    base = StateDir.open(policy.base)
    try:
        with run_locks.lock_repository(base, path):
            if old is not None:
                return _move(base, path, old)
            if forget:
                return _forget(base, path)
            if earlier:
                return _accept_earlier(base, path)
            return _advise(base, path)
    finally:
        os.close(base.fd)


def _move(base: StateDir, path: RepositoryPath, old: RepositoryPath) -> str:
    identity = pins.pin(base, "repository", old)
    if identity is None:
        raise BadValue(f"no repository {old.text!r} is known here: is that the path that the policy had?")
    if old == path or pins.pin(base, "repository", path) not in (None, identity):
        raise BadValue(f"another repository is known here at {path.text!r}: forget that first, with --forget")
    pins.set_pin(base, "moved", path, old.text)
    for kind in _KINDS:
        if text := pins.note(base, kind, old):
            pins.set_pin(base, kind, path, text)
    for kind in _KINDS:
        pins.delete(base, kind, old)
    return f"the repository {identity} is expected at {path.text} from now on; another one, or another key, is refused"


def _forget(base: StateDir, path: RepositoryPath) -> str:
    for kind in _KINDS:
        pins.delete(base, kind, path)
    pins.set_pin(base, "moved", path, path.text)
    return (
        f"the gate has forgotten the repository at {path.text}, and will pin what the server shows next: "
        "start the next run ('init' for a new one) when you have reason to trust that server"
    )


def _accept_earlier(base: StateDir, path: RepositoryPath) -> str:
    identity = pins.pin(base, "repository", path)
    if identity is None:
        raise BadValue(f"no repository {path.text!r} is known here: was it ever used?")
    with _below(base.fd, "borg", ".config", "borg", "security", identity) as security:
        if security is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink("manifest-timestamp", dir_fd=security)
    with _below(base.fd, "borg", ".cache", "borg") as cache:
        if cache is not None:
            remove_tree(cache, identity)
    return (
        f"borg will accept the next state of the repository {identity} that the server shows, also one that is older "
        "than what it saw last: archives made since then are gone"
    )


@contextlib.contextmanager
def _below(top: int, *names: str) -> Iterator[int | None]:
    """Open a directory that borg's user can change, step by step, following no link; None where it is missing."""
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


def _advise(base: StateDir, path: RepositoryPath) -> str:
    identity = pins.pin(base, "repository", path)
    if identity is None:
        raise BadValue(
            f"no repository {path.text!r} is known here: say --from OLD-PATH, or --forget where there is none"
        )
    if pins.is_pinned_elsewhere(base, "repository", path):  # a run saw it here, and its borg refused it
        raise BadValue(f"the repository {identity} was at another path before: say --from OLD-PATH")
    return (
        f"nothing to do: the repository {identity} is expected at {path.text}; "
        "if another repository is there now, say --forget"
    )
