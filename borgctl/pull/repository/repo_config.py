"""Repository config: the repository's own file of settings, with its key. It can be read without a key.

Through borg serve a client can change the key in it, and write one of any length. Whether its own admin did so does not
show here. No more than LARGEST bytes are read: a file with a hole has an end that nobody would live to see.

    digest("/srv/borg/web1") == "9f86d081…"         read("/srv/borg/web1").id == "5e8c…"
"""

import hashlib
import os
import re

from borgctl.data_class import dataclass
from borgctl.fs import atomic, plain_file

LARGEST = 1 << 20  # bytes that are read and copied; borg's own key and settings take less than two thousand


@dataclass(frozen=True, slots=True)
class File:
    """A small file of a repository: its SHA-256, its size in bytes, and the first LARGEST of them.

    Of a larger file the SHA-256 is that of these bytes, with its size and the time of its last change.
    """

    digest: str
    size: int
    data: bytes

    @property
    def whole(self) -> bool:
        """Tell whether `data` is all of it."""
        return self.size == len(self.data)

    @property
    def lasting(self) -> str:
        """Return its SHA-256 without the line of `check --max-duration` (borg/repository.py) and our reserve."""
        data = re.sub(rb"^last_segment_checked = [0-9]+\n", b"", self.data, flags=re.MULTILINE)
        data = re.sub(rb"^[a#]dditional_free_space = .*\n", b"additional_free_space = 0\n", data, flags=re.MULTILINE)
        return hashlib.sha256(data).hexdigest() if self.whole else self.digest

    @property
    def id(self) -> str | None:
        """Return the repository's id, as borg writes it before the key; None where there is not exactly one."""
        text = self.data.decode("utf-8", "replace")
        ids = [match[1] for line in text.splitlines() if (match := re.fullmatch(r"id\s*[=:]\s*([0-9a-f]{64})", line))]
        return ids[0] if len(ids) == 1 else None


def read(repository: str, name: str = "config") -> File:
    """Read a file of the repository; raise OSError where it cannot be read."""
    with open(plain_file.descriptor(f"{repository}/{name}"), "rb") as file:
        data = file.read(LARGEST)
        status = os.fstat(file.fileno())
    if len(data) < LARGEST or status.st_size == LARGEST:
        return File(hashlib.sha256(data).hexdigest(), len(data), data)
    large = f"\n{status.st_size} {status.st_mtime_ns}".encode()
    return File(hashlib.sha256(data + large).hexdigest(), status.st_size, data)


def write(repository: str, name: str, data: bytes) -> None:
    """Write a file of the repository atomically, with the repository's owner; the caller has borg's lock."""
    owner = os.stat(repository) if os.geteuid() == 0 else None
    draft = f"{name}-{os.urandom(4).hex()}.tmp"  # a name that `borglock.sweep` knows
    atomic.replace(f"{repository}/{name}", data, owner=owner, draft=draft)


def digest(repository: str) -> str | None:
    """Return the SHA-256 of the repository's config; None where it cannot be read."""
    try:
        return read(repository).digest
    except OSError:
        return None
