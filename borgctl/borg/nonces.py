"""Set the nonce from which borg encrypts next, in its security database on this machine.

borg encrypts with AES in counter mode: whoever has two texts with the same key and nonces can read both. It continues
from the largest of three numbers: its own file's, the server's, and the manifest's, which is the server's as well. So
where borg has no number of its own, a server in an earlier state would make it use nonces twice. There `seed` gives it
a random start first, far from any nonce that counting could have reached. A server that names a number above our own
could name one that another base has used, or another repository with the same key. There `leap` lets borg continue from
an unpredictable number above it. This module does not know which case it is.

    seed(base.fd, identity)            # before borg has the repository's key
    leap(base.fd, identity, answer)    # before borg has the server's number
"""

import os
import re
import secrets
import stat

from borgctl.fs import atomic
from borgctl.fs.chown_tree import subdirectory

LOWEST, HIGHEST = 1 << 40, 1 << 62  # a random start; 2^40 blocks of 16 bytes are 16 TiB
FARTHEST = 3 << 61  # a server's number from here on counts only if it is our own: 2^61 blocks remain above
END = 1 << 63
STEP = 1 << 29  # blocks; borg reserves 2^28 and those of one object at once (borg/crypto/nonces.py)
# A leap is unpredictable: a server that wants it to end within 2^34 used blocks, 256 GiB, has one chance in 2^20. Sixty
# leaps, for changed passphrases and lost bases, stay in the range where the server's guard lets a nonce start.
LEAP = 1 << 54
_FILE = "nonce"
_SECURITY = (".config", "borg", "security")


def local(base: int, identity: str) -> int | None:
    """Return the nonce from which borg would continue by itself; None where it has none, or an unreadable one."""
    with subdirectory(base, "borg", *_SECURITY, identity) as directory:
        return None if directory is None else _read(directory)


def seed(base: int, identity: str) -> None:
    """Give borg a random start where it has no nonce of its own for this repository; raise OSError."""
    with subdirectory(base, "borg", *_SECURITY, identity, make=True) as directory:
        assert directory is not None
        if _read(directory) is None:
            _write(directory, LOWEST + secrets.randbelow(HIGHEST - LOWEST))


def leap(base: int, identity: str, above: int = 0) -> None:
    """Let borg continue from a random nonce above its own and `above`, both less than END; raise OSError."""
    with subdirectory(base, "borg", *_SECURITY, identity, make=True) as directory:
        assert directory is not None
        lowest = max(_read(directory) or 0, above, LOWEST) + STEP
        room = min(LEAP, (END - lowest) // 8)  # never all that remains
        if room > 0:
            _write(directory, lowest + secrets.randbelow(room))


def _read(directory: int) -> int | None:
    try:
        fd = os.open(_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return None  # none, or a symlink, which `_write` replaces with a file
    try:
        text = os.read(fd, 100).decode("ascii", "replace").strip() if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    finally:
        os.close(fd)
    return int(text, 16) if re.fullmatch("[0-9a-f]{16}", text) else None


def _write(directory: int, number: int) -> None:
    """Write it as borg does, and wait for the disk; the directory's owner owns it."""
    atomic.replace(_FILE, b"%016x" % number, at=directory, owner=os.fstat(directory))
