"""Contents: what a repository holds, as one short text that changes with each archive that is made or deleted.

Each commit of borg's writes `index.N` and, in `integrity.N`, its checksum. Each segment, a file below `data`, has a
size that no read changes. So the text is the same after a run and before the next one. It differs where somebody wrote
to the repository or deleted archives meanwhile, went back to an earlier state, or the disk lost a file. No key is
needed. A flipped byte does not show here: that takes `borg check`.

    contents("/srv/borg/web1") == "transaction 42, 3 segments, 9f86d081884c7d65"
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress

from borgctl.fs import plain_file
from borgctl.pull.repository import transactions

_LARGEST = 1 << 16  # bytes of a file of checksums; borg's own has less than a thousand


def contents(repository: str) -> str:
    """Return what is there, without segments that were never committed: the next session removes them."""
    number = transactions.last(repository)
    if number is None:
        return "no transaction"
    digest, segments = hashlib.sha256(_checksums(repository, number)), 0
    for segment, size in sorted(_sizes(repository)):
        if segment <= number:
            digest.update(f"{segment} {size}\n".encode())
            segments += 1
    return f"transaction {number}, {segments} segments, {digest.hexdigest()[:16]}"


def _checksums(repository: str, number: int) -> bytes:
    """Return borg's file of checksums; empty where it is missing, as in a repository of borg 1.0."""
    try:
        with open(plain_file.descriptor(f"{repository}/integrity.{number}"), "rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return b""


def _sizes(repository: str) -> Iterator[tuple[int, int]]:
    """Yield number and size of each segment."""
    for path in transactions.segments(repository):
        with suppress(OSError):  # gone meanwhile
            yield int(os.path.basename(path)), os.lstat(path).st_size
