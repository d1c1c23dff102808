"""The recovery page's trace: when it was last printed for a repository, and for which key. Not what is on it.

The page holds passphrase and key, so it is printed and never kept; what is kept, in the base, is a time and a hash.

    note(base, path)            after the page was printed
    due(base, path)             why it has to be printed (again), None where the one in the safe is good
"""

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from borgctl.fs import plain_file
from borgctl.fs.chown_tree import subdirectory
from borgctl.fs.free_space import write_error
from borgctl.state import pins
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

_LARGEST = 64 * 1024
_KIND = "recovery"
_KEYS = ("borg", ".config", "borg", "keys")


@dataclass(frozen=True, slots=True)
class Printed:
    """When the page was printed (UTC, ISO 8601), and the hash of the key that was on it."""

    time: str
    key: str


def note(base: StateDir, repository: RepositoryPath) -> None:
    """Keep that the page was printed now."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    pins.set_pin(base, _KIND, repository, f"{now} {key_hash(base, repository)}")


def printed(base: StateDir, repository: RepositoryPath) -> Printed | None:
    """Return what is known of the last printing, None where there is nothing."""
    found = re.fullmatch(r"([0-9TZ:-]{20}) ([0-9a-f]{64}|none)", pins.note(base, _KIND, repository))
    return Printed(found[1], found[2]) if found else None


def due(base: StateDir, repository: RepositoryPath) -> str | None:
    """Return why the page should be printed, as the end of a sentence; None where there is nothing to do.

    Nothing is due as long as there is no repository.
    """
    known = key_hash(base, repository)
    if known == "none" and pins.pin(base, "repository", repository) is None:
        return None
    last = printed(base, repository)
    if last is None:
        return f"the recovery page for {repository.text!r} was never printed"
    if last.key != known:
        return f"the key of {repository.text!r} has changed since the recovery page was printed on {last.time[:10]}"
    return None


def key_hash(base: StateDir, repository: RepositoryPath) -> str:
    """Return the hash of the key as far as it is known here: of the one in the repository, else of the keyfile."""
    known = pins.pin(base, "key", repository)
    if known is not None:
        return known
    content = keyfile(base, repository)
    return "none" if content is None else hashlib.sha256(content).hexdigest()


def keyfile(base: StateDir, repository: RepositoryPath) -> bytes | None:
    """Return the key that is kept in a file here, None where there is none.

    borg looks for the line `BORG_KEY ID` in all files of its keys directory, whatever their names are. That directory
    and those above may be the user's that borg runs as. So no link there is followed, and what is no file is not
    opened. Raise BorgctlError where a link is in the place of a directory, or it cannot be read.
    """
    identity = pins.pin(base, "repository", repository)
    if identity is None:
        return None
    begins = f"BORG_KEY {identity}\n".encode()
    try:
        with subdirectory(base.fd, *_KEYS) as directory:
            if directory is None:
                return None
            for name in sorted(os.listdir(directory)):
                content = _content(name, directory)
                if content.startswith(begins):
                    return content
    except OSError as error:
        raise write_error("base-unusable", "/".join((base.path, *_KEYS)), error) from None
    return None


def _content(name: str, directory: int) -> bytes:
    """Return what is in a regular file, and nothing for what is none, is no key, or cannot be read."""
    with contextlib.suppress(OSError):
        return plain_file.read(name, _LARGEST, at=directory)
    return b""
