"""What a client knows of each repository: its id, the hash of its key, and notes; kept from the first run on.

    base/repository-HASH, key-HASH        HASH stands for the repository's path
    base/moved-HASH, recovery-HASH        notes: that it was relocated, that a recovery page was printed

A pin that is damaged is no pin that is missing: it is unknown what was known, and nothing runs.

    set_pin(base, "repository", path, "6f…")        pin(base, "repository", path) == "6f…"
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable

from borgctl.borg import cache_lock
from borgctl.errors import BorgctlError
from borgctl.fs.free_space import write_error
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath


def pinned_name(repository: RepositoryPath, kind: str = "repository") -> str:
    """Return the name of the file that holds what is known of a repository."""
    return f"{kind}-{hashlib.sha256(repository.text.encode()).hexdigest()[:32]}"


def pin(base: StateDir, kind: str, repository: RepositoryPath) -> str | None:
    """Return the 'repository' id or the hash of the 'key' that is known here, as hexadecimal digits, or None.

    Raise BorgctlError where the file is there and holds anything else: it is not known what was known.
    """
    name = pinned_name(repository, kind)
    known = base.content(name)
    if known is not None and not re.fullmatch(r"[0-9a-f]{64}", known):
        damaged = ValueError("damaged: expected 64 hexadecimal digits")
        raise write_error("base-unusable", f"{base.path}/{name}", damaged)
    return known


def set_pin(base: StateDir, kind: str, repository: RepositoryPath, text: str) -> None:
    """Keep it, on disk when this returns."""
    base.replace(pinned_name(repository, kind), text)


def note(base: StateDir, kind: str, repository: RepositoryPath) -> str:
    """Return what was kept with another kind of note, '' where there is none."""
    return base.read(pinned_name(repository, kind))


def delete(base: StateDir, kind: str, repository: RepositoryPath) -> None:
    """Keep it no longer."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(pinned_name(repository, kind), dir_fd=base.fd)


def is_pinned_elsewhere(base: StateDir, kind: str, repository: RepositoryPath) -> bool:
    """Tell whether what is known of this repository is known of one at another path, too."""
    known, own = pin(base, kind, repository), pinned_name(repository, kind)
    others = (name for name in os.listdir(base.fd) if re.fullmatch(rf"{kind}-[0-9a-f]{{32}}", name) and name != own)
    return known is not None and any(base.read(name) == known for name in others)


def identities(base: StateDir) -> frozenset[str]:
    """Return the ids of the repositories that are known here, at whatever path."""
    names = (name for name in os.listdir(base.fd) if re.fullmatch("repository-[0-9a-f]{32}", name))
    return frozenset(map(base.read, names))


def other_base(base: StateDir, identity: str, others: Iterable[str] = ()) -> str | None:
    """Return another base in which the repository with this id is known; None where none is, as far as we may look.

    That is one beside this one, or among `others`. A copy of this base (one with its host id) is none: it is
    somebody's own copy, not in use.
    """
    above, host = os.path.dirname(base.path), base.host()
    with contextlib.suppress(OSError):
        others = [*others, *(f"{above}/{name}" for name in sorted(os.listdir(above)))]
    for path in others:
        with contextlib.suppress(BorgctlError):
            if os.path.lexists(f"{path}/host-id") and _knows(path, identity, host):
                return path
    return None


def require_new(base: StateDir, repository: RepositoryPath) -> None:
    """Raise BorgctlError where this repository was used before: then 'init' would make another in its place."""
    if known := pin(base, "repository", repository):
        raise BorgctlError("repository-known", f"{repository.text!r} is known here with the id {known}")


def clear_cache_lock(base: StateDir, repository: RepositoryPath) -> None:
    """Remove what a borg that was killed has left of its lock of the cache; we hold the run lock."""
    with contextlib.suppress(OSError, BorgctlError):  # what is in its place is borg's to complain of
        identity = pin(base, "repository", repository)
        if identity is not None and not is_pinned_elsewhere(base, "repository", repository):  # nor at another path
            cache_lock.release(base.fd, identity, base.host_id())


def _knows(path: str, identity: str, host: str) -> bool:
    """Tell whether another base than that of this host id knows the repository."""
    other = StateDir.known(path)
    if other is None:
        return False
    try:
        return identity in identities(other) and other.host() != host
    finally:
        os.close(other.fd)
