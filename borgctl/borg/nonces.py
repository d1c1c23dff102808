"""borg's count of the nonces that it has used for a repository, in its security database on this machine.

borg encrypts with AES in counter mode: two texts with the same key and nonces are readable to whoever has both. It
goes on from the largest of three numbers: its own file's, the server's, and that in the manifest, which is the
server's as well. So where it has no number of its own, a server that was put back to an earlier state would make it
count the same nonces again; there it is given a random start first, far from all that were ever counted one by one.
And a server that names a number above our own could name one that another base has used, or another repository with
the same key: borg then goes on from one above it that nobody could foresee.

    seed(base.fd, identity)            # before borg has the repository's key
    leap(base.fd, identity, answer)    # before borg has the server's number
"""

import os
import re
import secrets
import stat

from borgctl.fs import atomic
from borgctl.fs.chown_tree import inside

LOWEST, HIGHEST = 1 << 40, 1 << 62  # a random start; 2^40 blocks of 16 bytes are 16 TiB
FARTHEST = 3 << 61  # from where on no server's number is believed that is not our own: behind it are 2^61 blocks
END = 1 << 63
STEP = 1 << 29  # blocks; borg reserves 2^28 and those of one object at once (borg/crypto/nonces.py)
# A leap cannot be foreseen: a server that wants its end within 2^34 used blocks, 256 GiB, has one chance in 2^20. Sixty
# of them, as for passphrases that were changed and bases that were lost, stay where the server's guard lets one begin.
LEAP = 1 << 54
_FILE = "nonce"
_SECURITY = (".config", "borg", "security")


def local(base: int, identity: str) -> int | None:
    """Return the nonce from which borg would go on by itself; None where it has none that it could read."""
    with inside(base, "borg", *_SECURITY, identity) as directory:
        return None if directory is None else _read(directory)


def seed(base: int, identity: str) -> None:
    """Give borg a random start where it has no nonce of its own for this repository; raise OSError."""
    with inside(base, "borg", *_SECURITY, identity, make=True) as directory:
        assert directory is not None
        if _read(directory) is None:
            _write(directory, LOWEST + secrets.randbelow(HIGHEST - LOWEST))


def leap(base: int, identity: str, above: int = 0) -> None:
    """Let borg go on from a random nonce above its own and this number, which are less than END; raise OSError."""
    with inside(base, "borg", *_SECURITY, identity, make=True) as directory:
        assert directory is not None
        lowest = max(_read(directory) or 0, above, LOWEST) + STEP
        room = min(LEAP, (END - lowest) // 8)  # never all that is left
        if room > 0:
            _write(directory, lowest + secrets.randbelow(room))


def _read(directory: int) -> int | None:
    try:
        fd = os.open(_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return None  # none, or a link: what takes its place below is a file
    try:
        text = os.read(fd, 100).decode("ascii", "replace").strip() if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    finally:
        os.close(fd)
    return int(text, 16) if re.fullmatch("[0-9a-f]{16}", text) else None


def _write(directory: int, number: int) -> None:
    """Write it as borg does, on disk when this returns; it is the directory's owner's."""
    atomic.replace(_FILE, b"%016x" % number, at=directory, owner=os.fstat(directory))
