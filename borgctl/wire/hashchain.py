"""Compute the links of the audit log's chain, on both sides: the client keeps the records, the server one link.

Of each record only the SHA-256 of its body leaves the client. Whoever has one link and the digests of all later records
computes the newest link, and need trust nobody. RFC 9162 does the same with a tree. This module knows no line, file or
peer.

    >>> digests = ("a" * 64, "b" * 64)
    >>> first = Head(1, joined(START, digests[0]))
    >>> follows(first, digests[1:], Head(2, joined(first.digest, digests[1])))
    True
"""

import hashlib
from collections.abc import Sequence
from functools import reduce

from borgctl.values import Head

VERSION = 2  # of the chain, in records and on the wire; version 1 chained whole lines, and proved nothing to a server
START = "0" * 64  # the link before a log's very first record
MOST = 4096  # digests in one answer: 272 KiB of a line that may have 1 MiB


def joined(link: str, digest: str) -> str:
    """Return the link of a record: SHA-256 of the link before and the SHA-256 of its body, 32 bytes each."""
    return hashlib.sha256(bytes.fromhex(link) + bytes.fromhex(digest)).hexdigest()


def follows(old: Head, digests: Sequence[str], new: Head) -> bool:
    """Tell whether exactly these digests lead from the old head to the new one."""
    if new.sequence != old.sequence + len(digests):
        return False
    return reduce(joined, digests, old.digest) == new.digest
