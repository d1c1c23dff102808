"""Reserve: what of a repository's disk stays free, so that there is room to prune and to compact.

borg commits nothing where less than `additional_free_space` of the repository's `config` would be left, and asks for it
before it compacts, too. So it is written there when the repository is made, and put down to 0 while a prune or compact
is at work: in its place, which takes no room, and with the blanks that tell the next session to put it up again.

    establish(folders, "/srv/borg/web1")        a twentieth of the disk, 2 GB at most
    with lowered("/srv/borg/web1"): …
"""

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from borgctl.pull import borglock, config
from borgctl.pull.folders import Folders, host_id

_LARGEST, _SHARE = 2_000_000_000, 20
_LINE = re.compile(rb"^additional_free_space = (\S*)( *)$", re.MULTILINE)
_SCALE = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


def reserve(repository: str) -> int:
    """Return how many bytes borg leaves free; 0 where nothing says so."""
    with contextlib.suppress(OSError):
        line = _LINE.search(config.read(repository).data)
        return _bytes(line[1].decode("ascii", "replace")) if line else 0
    return 0


def establish(folders: Folders, repository: str) -> int:
    """Write the reserve into the config of a new repository; return it, 0 where another uses it or has set one."""
    with borglock.alone(repository, host_id(folders)) as ours:
        text = config.read(repository).data
        if not ours or reserve(repository):
            return 0
        usual = _usual(repository)
        config.write(repository, "config", _LINE.sub(b"additional_free_space = %d" % usual, text))
    return usual


@contextmanager
def lowered(repository: str) -> Iterator[None]:
    """Have borg leave nothing free for a while."""
    text = _value(repository)
    if text and _bytes(text.decode("ascii", "replace")):
        _put(repository, b"0")
    try:
        yield
    finally:
        if text:
            _put(repository, text)


def restore(repository: str) -> None:
    """Put the reserve up again that somebody has lowered who was killed."""
    with contextlib.suppress(OSError):
        line = _LINE.search(config.read(repository).data)
        if line and line[1] == b"0" and line[2]:
            _put(repository, b"%d" % _usual(repository))


def _usual(repository: str) -> int:
    disk = os.statvfs(repository)
    return min(_LARGEST, disk.f_blocks * disk.f_frsize // _SHARE)


def _bytes(text: str) -> int:
    """Read a size as borg does: 1234, 55G, 1.7T."""
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{0,15})?)([KMGTP]?)", text)
    return int(float(found[1]) * _SCALE.get(found[2], 1)) if found else 0


def _value(repository: str) -> bytes | None:
    with contextlib.suppress(OSError):
        line = _LINE.search(config.read(repository).data)
        return line[1] if line else None
    return None


def _put(repository: str, text: bytes) -> None:
    """Write the value over the one that stands there, no byte more or less, if it fits there."""
    with contextlib.suppress(OSError):
        fd = os.open(f"{repository}/config", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "r+b", buffering=0) as file:
            line = _LINE.search(file.read(config.LARGEST))
            width = line.end() - line.start(1) if line else 0
            if line and len(text) <= width:
                os.pwrite(fd, text.ljust(width), line.start(1))
                os.fsync(fd)
