"""The arithmetic of the audit log's chain, which both sides do: the client keeps the records, the server one link.

Of each record only the SHA-256 of its body leaves the client. Who holds one link and is told the digests of all records
since computes the next link without having to believe anybody; RFC 9162 does the like with a tree. Nothing here knows a
line, a file or a peer.

    >>> digests = ("a" * 64, "b" * 64)
    >>> first = Head(1, joined(START, digests[0]))
    >>> follows(first, digests[1:], Head(2, joined(first.digest, digests[1])))
    True
"""

import hashlib
from collections.abc import Sequence
from functools import reduce

from borgctl.values import Head

VERSION = 2  # of the chain, in records and on the wire; 1 was chained by whole lines, and proved nothing to a server
START = "0" * 64  # stands before a log's very first record
MOST = 4096  # digests in one answer: 272 KiB of a line that may have 1 MiB


def joined(link: str, digest: str) -> str:
    """Return the link of a record: SHA-256 of the link before and the SHA-256 of its body, 32 bytes each."""
    return hashlib.sha256(bytes.fromhex(link) + bytes.fromhex(digest)).hexdigest()


def follows(old: Head, digests: Sequence[str], new: Head) -> bool:
    """Tell whether exactly these digests lead from one record to the other."""
    if new.sequence != old.sequence + len(digests):
        return False
    return reduce(joined, digests, old.digest) == new.digest
