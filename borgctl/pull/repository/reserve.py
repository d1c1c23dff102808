"""Reserve: the part of a repository's disk that stays free, so that there is space to prune and to compact.

borg commits nothing where less than `additional_free_space` of the repository's `config` would be left, and checks that
before it compacts, too. So we write it when the repository is made, and comment its line out while a prune or compact
runs. That changes one byte, which needs no disk space. Where we are killed, the next session puts the byte back,
whatever value the admin has set.

    establish(folders, "/srv/borg/web1")        a twentieth of the disk, 2 GB at most
    with lowered("/srv/borg/web1"): …
"""

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.pull.repository import borglock, repo_config
from borgctl.pull.targets.paths import Folders, host_id

_LARGEST, _SHARE = 2_000_000_000, 20
_LINE = re.compile(rb"^(a|#)dditional_free_space = (\S*) *$", re.MULTILINE)
_IN_FORCE, _ASIDE = b"a", b"#"
_SCALE = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


def reserve(repository: str) -> int:
    """Return how many bytes borg leaves free; 0 where the config has no such line."""
    with contextlib.suppress(OSError):
        line = _LINE.search(repo_config.read(repository).data)
        return _bytes(line[2]) if line and line[1] == _IN_FORCE else 0
    return 0


def establish(folders: Folders, repository: str) -> int:
    """Write the reserve into the config of a new repository; return it, 0 where it is in use or has a reserve."""
    with borglock.alone(repository, host_id(folders)) as ours:
        text = repo_config.read(repository).data
        if not ours or reserve(repository):
            return 0
        usual = _usual(repository)
        repo_config.write(repository, "config", _LINE.sub(b"additional_free_space = %d" % usual, text))
    return usual


@contextmanager
def lowered(repository: str) -> Iterator[None]:
    """Let borg use the reserve for a while."""
    _mark(repository, _ASIDE)
    try:
        yield
    finally:
        _mark(repository, _IN_FORCE)


def restore(repository: str) -> None:
    """Restore a reserve that a killed launcher left lowered."""
    _mark(repository, _IN_FORCE)


def _usual(repository: str) -> int:
    disk = os.statvfs(repository)
    return min(_LARGEST, disk.f_blocks * disk.f_frsize // _SHARE)


def _bytes(text: bytes) -> int:
    """Read a size as borg does: 1234, 55G, 1.7T."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{0,15})?)([KMGTP]?)", text.decode("ascii", "replace"))
    return int(float(match[1]) * _SCALE.get(match[2], 1)) if match else 0


def _mark(repository: str, mark: bytes) -> None:
    """Write the first byte of the line in place."""
    with contextlib.suppress(OSError):
        fd = os.open(f"{repository}/config", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "r+b", buffering=0) as file:
            line = _LINE.search(file.read(repo_config.LARGEST))
            if line and line[1] != mark and _bytes(line[2]):
                os.pwrite(fd, mark, line.start())
                os.fsync(fd)
